"""From a delivery to a run: the claim, or the run that its id already has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from sqlalchemy import Float, Insert, bindparam, case, select
from sqlalchemy.engine import Connection

from shared.store import notes
from shared.store.dialect import insert_into, insert_new
from shared.store.outbox import Outbound
from shared.store.requesters import Requester, answer, join
from shared.store.runs import COLUMNS as RUN_COLUMNS
from shared.store.runs import Run, dump_lines, from_row, load
from shared.store.schema import RunState, definitions, now_s, runs


class Verdict(StrEnum):
    """What became of a delivery."""

    CLAIMED = "claimed"
    JOINED = "joined"
    ANSWERED = "answered"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Request:
    """A delivery as it is claimed. `timeout_s` counts from the claim, `deadline_at` is absolute
    and in seconds since the epoch; the earlier one holds."""

    run_id: str
    agent: str
    task_id: str
    kind: str
    content_hash: str
    message: str
    definition: str
    root_id: str
    parent_id: str | None
    timeout_s: float
    deadline_at: float | None
    requester: Requester | None
    with_notes: bool


@dataclass(frozen=True)
class Claim:
    verdict: Verdict
    run: Run | None = None
    outbound: tuple[Outbound, ...] = ()


def freeze(connection: Connection, digest: str, body: str) -> None:
    """Keep a definition for the runs that will be claimed under it."""
    insert_new(connection, definitions, {"hash": digest, "body": body})


def claim(connection: Connection, request: Request, instance: str, *, slot: bool) -> Claim:
    """Make a run of a delivery, or find the one that its id already has.

    With a slot the run is this instance's at once; without, it is due now for any replica.
    A known id with the same content joins the open run or gets the stored response (in
    `outbound`); with other content nothing is written: `CONFLICT`.
    """
    if run := _insert(connection, request, instance if slot else None):
        join(connection, request.run_id, request.requester)
        return Claim(Verdict.CLAIMED, run if slot else None)
    row = connection.execute(
        select(runs.c.content_hash, runs.c.state, runs.c.owner, runs.c.fence, runs.c.response)
        .where(runs.c.run_id == request.run_id)
        .with_for_update()
    ).one()
    if row.content_hash != request.content_hash:
        return Claim(Verdict.CONFLICT)
    if row.state == RunState.ENDED:
        return Claim(Verdict.ANSWERED, None, _answered(connection, request, row.response, instance))
    join(connection, request.run_id, request.requester)
    mine = slot and row.owner == instance and row.fence == 1
    return Claim(Verdict.JOINED, load(connection, request.run_id) if mine else None)


def _insert(connection: Connection, request: Request, owner: str | None) -> Run | None:
    heard = notes.recent(connection, request.agent) if request.with_notes else ()
    fields = {name: value for name, value in vars(request).items() if name in _FROM_REQUEST}
    owned = {
        "state": RunState.RUNNING if owner else RunState.DUE,
        "owner": owner,
        "fence": 1 if owner else 0,
        "notes": dump_lines(heard),
        "digest": request.definition,
        "timeout_s": request.timeout_s,
        "latest": float("inf") if request.deadline_at is None else request.deadline_at,
    }
    row = connection.execute(_new_run(connection.dialect.name), fields | owned).mappings().first()
    return from_row(row) if row else None


_FROM_REQUEST = {column.key for column in runs.c} & set(Request.__dataclass_fields__) - {
    "deadline_at"
}


@cache  # to build a statement takes longer than to run it
def _new_run(dialect: str) -> Insert:
    ends_at = now_s() + bindparam("timeout_s", type_=Float(53))
    latest = bindparam("latest", type_=Float(53))
    body = select(definitions.c.body).where(definitions.c.hash == bindparam("digest"))
    frozen = (column for column in RUN_COLUMNS if column.key != "definition")
    return (
        insert_into(dialect, runs)
        .values(
            deadline_at=case((ends_at < latest, ends_at), else_=latest),
            due_at=now_s(),
            claimed_at=now_s(),
            attempts=0,
            failures=0,
            epoch=1,
        )
        .on_conflict_do_nothing()
        .returning(*frozen, body.scalar_subquery().label("definition"))
    )


def _answered(
    connection: Connection, request: Request, response: str, owner: str
) -> tuple[Outbound, ...]:
    """The stored response, to the one who asked again."""
    to = request.requester
    if to is None:
        return ()
    return (answer(connection, request.run_id, request.agent, owner, response, to),)
