"""The claim: it makes a run of a delivery, or finds the run that the id already has."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from secrets import token_urlsafe
from typing import Any

import structlog
from sqlalchemy import Float, and_, bindparam, case, exists, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from shared.contract.messages import Response, Status, encode, response_id
from shared.contract.priority import Priority
from shared.contract.rows import response_of
from shared.errors import DamagedRow
from shared.store.database.dialect import insert_into, insert_new
from shared.store.database.prepared import Prepared
from shared.store.messages import notes
from shared.store.messages.outbox import Outbound
from shared.store.messages.requesters import Requester, answer, join
from shared.store.runs.run import Run, dump_exchanges, dump_lines, from_row, load
from shared.store.runs.sessions import SessionEntry, enter
from shared.store.runs.takeover import DELAYED
from shared.store.schema import ACTIVE, LATEST_S, RunState, cancels, definitions, now_s, runs

NONCE_BYTES = 12
"""Encoded as the 16 characters that the column holds."""

MOST_DELAYED = 10_000
"""The most delayed runs of an agent, unless several are claimed at once: each poll reads them all,
which takes about 30 ms for so many."""

log = structlog.get_logger()


class Verdict(StrEnum):
    """The result of a claim."""

    CLAIMED = "claimed"
    DELAYED = "delayed"
    """Claimed, and due at a time in the future."""
    TOO_MANY = "too many"
    """Not claimed: the agent has too many delayed runs."""
    JOINED = "joined"
    ANSWERED = "answered"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Request:
    """A delivery to be claimed. `timeout_s` counts from the claim, or from `not_before` if that is
    later; times are in seconds since 1970. The earlier of this deadline and `deadline_at` applies.
    """

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
    session: str | None = None
    takes_turns: bool = False
    """Whether it waits for its turn in the session; runs caused by other runs do not."""
    earlier_hash: str | None = None
    """The content hash as version 0.1.0 computed it; runs of that version have an empty nonce."""
    not_before: float = 0.0
    priority: str = Priority.INTERACTIVE

    @property
    def key(self) -> str:
        """The claim's order in its group: claims that lock a session come first, by session."""
        return f" {self.agent} {self.session}" if self.takes_turns else self.run_id


@dataclass(frozen=True)
class Claim:
    verdict: Verdict
    run: Run | None = None
    outbound: tuple[Outbound, ...] = ()


def freeze(connection: Connection, digest: str, body: str) -> None:
    """Store a definition, before runs with it are claimed."""
    insert_new(connection, definitions, {"hash": digest, "body": body})


def claim(
    connection: Connection,
    request: Request,
    instance: str,
    *,
    slot: bool,
    most_delayed: int = MOST_DELAYED,
) -> Claim:
    """Make a run of a delivery, or find the run that the id already has.

    With a slot, this instance owns the new run at once. Without one, or while an earlier run of its
    session is open, the run is due for any replica. Before `not_before` by the store's clock, it is
    due then (`DELAYED`), unless the agent has `most_delayed` such runs already: then nothing is
    written (`TOO_MANY`). If the id has a run with the same content, the
    requester joins it while it is open (`JOINED`), or gets the stored response, in `outbound`
    (`ANSWERED`). With other content nothing is written: `CONFLICT`.
    """
    entry = _enter_session(connection, request)
    delayed = _is_delayed(connection, request)
    if delayed and _too_many(connection, request, most_delayed):
        return Claim(Verdict.TOO_MANY)
    mine = slot and not delayed and (entry is None or entry.recalled is not None)
    if run := _insert(connection, request, instance if mine else None, entry):
        join(connection, request.run_id, request.requester)
        return Claim(Verdict.DELAYED if delayed else Verdict.CLAIMED, run if mine else None)
    row = connection.execute(
        select(
            runs.c.content_hash,
            runs.c.nonce,
            runs.c.state,
            runs.c.owner,
            runs.c.fence,
            runs.c.epoch,
            runs.c.response,
        )
        .where(runs.c.run_id == request.run_id)
        .with_for_update()
    ).first()
    if row is None:  # deleted since the insert
        return claim(connection, request, instance, slot=slot)
    earlier = None if row.nonce else request.earlier_hash
    if row.content_hash not in {request.content_hash, earlier}:
        return Claim(Verdict.CONFLICT)
    if row.state == RunState.ENDED:
        outbound = _answered(connection, request, row.epoch, row.response, instance)
        return Claim(Verdict.ANSWERED, None, outbound)
    join(connection, request.run_id, request.requester)
    mine = slot and row.owner == instance and row.fence == 1
    return Claim(Verdict.JOINED, load(connection, request.run_id) if mine else None)


def _enter_session(connection: Connection, request: Request) -> SessionEntry | None:
    if request.session is None or not request.takes_turns:
        return None
    return enter(connection, request.agent, request.session)


def _is_delayed(connection: Connection, request: Request) -> bool:
    if not request.not_before:
        return False
    return bool(connection.execute(select(now_s() < request.not_before)).scalar())


def _too_many(connection: Connection, request: Request, most: int) -> bool:
    """Whether the agent has `most` delayed runs or more; False if the id has a run already."""
    delayed = and_(runs.c.agent == request.agent, ACTIVE, DELAYED)
    number = select(func.count()).select_from(runs).where(delayed).scalar_subquery()
    known = exists().where(runs.c.run_id == request.run_id)
    return bool(connection.execute(select(and_(~known, number >= most))).scalar())


def _insert(
    connection: Connection, request: Request, owner: str | None, entry: SessionEntry | None
) -> Run | None:
    remembered = notes.recent(connection, request.agent) if request.with_notes else ()
    fields = {name: value for name, value in vars(request).items() if name in _FROM_REQUEST}
    owned = {
        "state": RunState.RUNNING if owner else RunState.DUE,
        "owner": owner,
        "fence": 1,
        "notes": dump_lines(remembered),
        "digest": request.definition,
        "this_run": request.run_id,
        "timeout_s": request.timeout_s,
        "not_before": request.not_before,
        "session_place": entry.place if entry else None,
        "recalled": dump_exchanges(entry.recalled)
        if entry and entry.recalled is not None
        else None,
        "nonce": token_urlsafe(NONCE_BYTES),
        "latest": LATEST_S if request.deadline_at is None else min(request.deadline_at, LATEST_S),
    }
    if not (rows := _NEW_RUN.rows(connection, fields | owned)):
        return None
    claimed_at, deadline_at, definition, cancelled, *_ = rows[0]
    return from_row(
        fields
        | owned
        | _NEW
        | {
            "claimed_at": claimed_at,
            "deadline_at": deadline_at,
            "definition": definition,
            "cancelled": cancelled,
        }
    )


_FROM_REQUEST = {column.key for column in runs.c} & set(Request.__dataclass_fields__) - {
    "deadline_at"
}
_OWNED = ("state", "owner", "fence", "notes", "session_place", "recalled", "nonce")
_NEW = {"attempts": 0, "failures": 0, "epoch": 1}


def _new_run(dialect: str) -> ReturningInsert[Any]:
    not_before = bindparam("not_before", type_=Float(53))
    starts_at = case((now_s() < not_before, not_before), else_=now_s())
    ends_at = starts_at + bindparam("timeout_s", type_=Float(53))
    latest = bindparam("latest", type_=Float(53))
    body = select(definitions.c.body).where(definitions.c.hash == bindparam("digest"))
    cancelled = exists().where(cancels.c.run_id == bindparam("this_run")).label("cancelled")
    return (
        insert_into(dialect, runs)
        .values(
            deadline_at=case((ends_at < latest, ends_at), else_=latest),
            due_at=starts_at,
            claimed_at=now_s(),
            **_NEW,
        )
        .on_conflict_do_nothing()
        .returning(runs.c.claimed_at, runs.c.deadline_at, body.scalar_subquery(), cancelled)
    )


_NEW_RUN = Prepared(_new_run, (*_FROM_REQUEST, *_OWNED))


def _answered(
    connection: Connection, request: Request, epoch: int, response: str, owner: str
) -> tuple[Outbound, ...]:
    """The stored response, addressed to the requester of the repeated request."""
    to = request.requester
    if to is None:
        return ()
    run_id, agent = request.run_id, request.agent
    body = _readable(request, epoch, response)
    return (answer(connection, run_id, epoch, agent, owner, body, to),)


def _readable(request: Request, epoch: int, stored: str) -> str:
    """The stored response, or a `failed` one in its place if it can't be read."""
    try:
        response_of(stored)
    except DamagedRow as error:
        log.warning("damaged response not sent", run=request.run_id, reason=str(error))
        instead = Response(
            id=response_id(request.run_id, epoch),
            task_id=request.task_id,
            agent=request.agent,
            sender=request.agent,
            status=Status.FAILED,
            content="it has ended, but its stored response can't be read",
        )
        return encode(instead).decode()
    return stored
