"""Who runs what: claims, joins, take-overs, the end. Each function is one committed step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from sqlalchemy import (
    ColumnElement,
    Float,
    Insert,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from shared.errors import RunLost
from shared.store import notes, outbox
from shared.store.dialect import insert_into, insert_new
from shared.store.outbox import Outbound
from shared.store.runs import CHANGE, Run, change, dump_lines, from_row, load
from shared.store.runs import COLUMNS as RUN_COLUMNS
from shared.store.schema import RunState, definitions, instances, now_s, requesters, runs


class Verdict(StrEnum):
    """What became of a delivery."""

    CLAIMED = "claimed"
    JOINED = "joined"
    ANSWERED = "answered"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Requester:
    """Where a response is wanted; both are AMQP properties of the request."""

    reply_to: str
    correlation_id: str = ""


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
        _join(connection, request)
        return Claim(Verdict.CLAIMED, run if slot else None)
    row = connection.execute(
        select(runs.c.content_hash, runs.c.state, runs.c.owner, runs.c.fence, runs.c.response)
        .where(runs.c.run_id == request.run_id)
        .with_for_update()
    ).one()
    if row.content_hash != request.content_hash:
        return Claim(Verdict.CONFLICT)
    if row.state == RunState.ENDED:
        sent = _answers(connection, request.run_id, request.agent, instance, row.response, request)
        return Claim(Verdict.ANSWERED, None, sent)
    _join(connection, request)
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
            epoch=1,
        )
        .on_conflict_do_nothing()
        .returning(*frozen, body.scalar_subquery().label("definition"))
    )


def _join(connection: Connection, request: Request) -> None:
    if request.requester is None:
        return
    insert_new(connection, requesters, {"run_id": request.run_id} | vars(request.requester))


def _takeable(agent: str, dead: Collection[str]) -> ColumnElement[bool]:
    orphaned = or_(runs.c.owner.in_(list(dead)), runs.c.owner.not_in(select(instances.c.instance)))
    abandoned = and_(runs.c.state.in_([RunState.RUNNING, RunState.WAITING]), orphaned)
    due = and_(runs.c.state == RunState.DUE, runs.c.due_at <= now_s())
    return and_(runs.c.agent == agent, runs.c.state != RunState.ENDED, or_(due, abandoned))


@dataclass(frozen=True)
class Counts:
    """What waits for somebody to take it, of one agent."""

    takeable: int
    oldest_due_s: float
    abandoned_messages: int


def counts(connection: Connection, agent: str, dead: Collection[str]) -> Counts:
    """A look that locks nothing, so that an idle sweep costs the others nothing."""
    runs_left, since = connection.execute(
        select(func.count(), func.min(runs.c.due_at)).where(_takeable(agent, dead))
    ).one()
    age_s = connection.execute(select(now_s())).scalar_one() - since if runs_left else 0.0
    return Counts(runs_left, age_s, outbox.abandoned(connection, agent, dead))


def take(
    connection: Connection,
    agent: str,
    instance: str,
    dead: Collection[str],
    limit: int,
    earlier: set[str],
) -> list[Run]:
    """Own up to `limit` runs of `agent`: those that are due, and those whose owner is dead.

    Oldest due first; rows that another replica is taking are skipped. A taken run's fence
    moves on, so that a late write of its last owner finds no row. `earlier` is empty at first
    and belongs to this one take: repeated after an unknown commit, it finds there what may be
    its own already.
    """
    if ours := _owned_of(connection, instance, earlier):
        return ours
    chosen = connection.execute(
        select(runs.c.run_id)
        .where(_takeable(agent, dead))
        .order_by(runs.c.due_at, runs.c.run_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    earlier.clear()
    earlier.update(row.run_id for row in chosen)
    handed_over = runs.c.state == RunState.DUE
    connection.execute(
        update(runs)
        .where(runs.c.run_id.in_(earlier))
        .values(
            owner=instance,
            state=RunState.RUNNING,
            fence=runs.c.fence + 1,
            attempts=runs.c.attempts + case((handed_over, 0), else_=1),
        )
    )
    return _owned_of(connection, instance, earlier)


def _owned_of(connection: Connection, instance: str, run_ids: Collection[str]) -> list[Run]:
    if not run_ids:
        return []
    query = (
        select(*RUN_COLUMNS)
        .join_from(runs, definitions)
        .where(runs.c.run_id.in_(run_ids), runs.c.owner == instance)
        .order_by(runs.c.due_at, runs.c.run_id)
    )
    return [from_row(row) for row in connection.execute(query).mappings()]


def mark(connection: Connection, run: Run, state: RunState) -> None:
    """Say whether an owned run computes or only waits; raises `RunLost`."""
    change(connection, run, {"state": state})


_HAND_OVER = CHANGE.values(due_at=now_s() + bindparam("delay_s", type_=Float(53)))
_END = CHANGE.values(ended_at=now_s())
_WANTED = select(requesters.c.reply_to, requesters.c.correlation_id).where(
    requesters.c.run_id == bindparam("run_id")
)


def hand_over(connection: Connection, run: Run, *, delay_s: float = 0) -> None:
    """Let any replica go on with an owned run, at once or after a delay; raises `RunLost`."""
    change(connection, run, {"state": RunState.DUE, "owner": None, "delay_s": delay_s}, _HAND_OVER)


@dataclass(frozen=True)
class End:
    """How a run ends. `response` is the body; `detail` is for the operator, never sent."""

    status: str
    message_id: str
    response: str
    detail: str | None = None
    broadcast_to: str | None = None


def end(connection: Connection, run: Run, ending: End, instance: str) -> tuple[Outbound, ...]:
    """Commit the response and its outgoing messages together; raises `RunLost`.

    Asked again by the same owner, as after an unknown commit, it returns what is still unsent.
    """
    fields = {
        "state": RunState.ENDED,
        "owner": None,
        "status": ending.status,
        "response": ending.response,
        "detail": ending.detail,
    }
    try:
        change(connection, run, fields, _END)
    except RunLost:
        if _ended_by(connection, run):
            return outbox.unsent_of(connection, run.run_id, instance)
        raise
    sent = _answers(connection, run.run_id, run.agent, instance, ending.response, None)
    if ending.broadcast_to:
        message = Outbound.broadcast(
            run.run_id, ending.broadcast_to, ending.message_id, ending.response
        )
        sent += (outbox.add(connection, message, run.agent, instance),)
    return sent


def _ended_by(connection: Connection, run: Run) -> bool:
    ended = and_(runs.c.fence == run.fence, runs.c.state == RunState.ENDED)
    query = select(runs.c.run_id).where(runs.c.run_id == run.run_id, ended)
    return connection.execute(query).first() is not None


def _answers(
    connection: Connection,
    run_id: str,
    agent: str,
    instance: str,
    response: str,
    only: Request | None,
) -> tuple[Outbound, ...]:
    """The stored response, to everybody who waits or to the one who asked again."""
    wanted = (
        [only.requester]
        if only
        else [
            Requester(row.reply_to, row.correlation_id)
            for row in connection.execute(_WANTED, {"run_id": run_id})
        ]
    )
    return tuple(
        outbox.add(
            connection,
            Outbound.answer(run_id, to.reply_to, to.correlation_id, response),
            agent,
            instance,
        )
        for to in wanted
        if to is not None
    )
