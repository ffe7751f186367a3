"""Who runs what: claims, joins, take-overs, the end. Each function is one committed step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlalchemy.engine import Connection

from shared.store import notes, outbox
from shared.store.dialect import upsert
from shared.store.outbox import Outbound
from shared.store.runs import COLUMNS as RUN_COLUMNS
from shared.store.runs import Run, dump_lines, from_row, load, lock
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
    statement = upsert(connection, definitions).values(hash=digest, body=body)
    connection.execute(statement.on_conflict_do_nothing())


def claim(connection: Connection, request: Request, instance: str, *, slot: bool) -> Claim:
    """Make a run of a delivery, or find the one that its id already has.

    With a slot the run is this instance's at once; without, it is due now for any replica.
    A known id with the same content joins the open run or gets the stored response (in
    `outbound`); with other content nothing is written: `CONFLICT`.
    """
    if _insert(connection, request, instance if slot else None):
        _join(connection, request)
        return Claim(Verdict.CLAIMED, load(connection, request.run_id) if slot else None)
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


def _insert(connection: Connection, request: Request, owner: str | None) -> bool:
    heard = notes.recent(connection, request.agent) if request.with_notes else ()
    now = connection.execute(select(now_s())).scalar_one()
    deadline = min(now + request.timeout_s, request.deadline_at or float("inf"))
    statement = upsert(connection, runs).values(
        run_id=request.run_id,
        agent=request.agent,
        task_id=request.task_id,
        kind=request.kind,
        content_hash=request.content_hash,
        message=request.message,
        definition=request.definition,
        notes=dump_lines(heard),
        root_id=request.root_id,
        parent_id=request.parent_id,
        deadline_at=deadline,
        state=RunState.RUNNING if owner else RunState.DUE,
        due_at=now,
        owner=owner,
        fence=1 if owner else 0,
        attempts=0,
        epoch=1,
        claimed_at=now,
    )
    return bool(connection.execute(statement.on_conflict_do_nothing()).rowcount)


def _join(connection: Connection, request: Request) -> None:
    if request.requester is None:
        return
    statement = upsert(connection, requesters).values(
        run_id=request.run_id,
        reply_to=request.requester.reply_to,
        correlation_id=request.requester.correlation_id,
    )
    connection.execute(statement.on_conflict_do_nothing())


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
    connection: Connection, agent: str, instance: str, dead: Collection[str], limit: int
) -> list[Run]:
    """Own up to `limit` runs of `agent`: those that are due, and those whose owner is dead.

    Oldest due first; rows that another replica is taking are skipped. A taken run's fence
    moves on, so that a late write of its last owner finds no row.
    """
    orphaned = or_(runs.c.owner.in_(list(dead)), runs.c.owner.not_in(select(instances.c.instance)))
    abandoned = and_(runs.c.state.in_([RunState.RUNNING, RunState.WAITING]), orphaned)
    due = and_(runs.c.state == RunState.DUE, runs.c.due_at <= now_s())
    chosen = connection.execute(
        select(runs.c.run_id, runs.c.state)
        .where(runs.c.agent == agent, runs.c.state != RunState.ENDED, or_(due, abandoned))
        .order_by(runs.c.due_at, runs.c.run_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not chosen:
        return []
    for row in chosen:
        connection.execute(
            update(runs)
            .where(runs.c.run_id == row.run_id)
            .values(
                owner=instance,
                state=RunState.RUNNING,
                fence=runs.c.fence + 1,
                attempts=runs.c.attempts + (0 if row.state == RunState.DUE else 1),
            )
        )
    query = (
        select(*RUN_COLUMNS)
        .join_from(runs, definitions)
        .where(runs.c.run_id.in_([row.run_id for row in chosen]))
        .order_by(runs.c.due_at, runs.c.run_id)
    )
    return [from_row(row) for row in connection.execute(query).mappings()]


def mark(connection: Connection, run: Run, state: RunState) -> None:
    """Say whether an owned run computes or only waits; raises `RunLost`."""
    lock(connection, run.run_id, run.fence)
    connection.execute(update(runs).where(runs.c.run_id == run.run_id).values(state=state))


def hand_over(connection: Connection, run: Run, *, delay_s: float = 0) -> None:
    """Let any replica go on with an owned run, at once or after a delay; raises `RunLost`."""
    lock(connection, run.run_id, run.fence)
    connection.execute(
        update(runs)
        .where(runs.c.run_id == run.run_id)
        .values(state=RunState.DUE, owner=None, due_at=now_s() + delay_s)
    )


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
    row = connection.execute(
        select(runs.c.state, runs.c.fence).where(runs.c.run_id == run.run_id).with_for_update()
    ).one()
    if row.state == RunState.ENDED and row.fence == run.fence:
        return outbox.unsent_of(connection, run.run_id, instance)
    lock(connection, run.run_id, run.fence)
    connection.execute(
        update(runs)
        .where(runs.c.run_id == run.run_id)
        .values(
            state=RunState.ENDED,
            status=ending.status,
            response=ending.response,
            detail=ending.detail,
            ended_at=now_s(),
            owner=None,
        )
    )
    sent = _answers(connection, run.run_id, run.agent, instance, ending.response, None)
    if ending.broadcast_to:
        message = Outbound.broadcast(
            run.run_id, ending.broadcast_to, ending.message_id, ending.response
        )
        sent += (outbox.add(connection, message, run.agent, instance),)
    return sent


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
            for row in connection.execute(select(requesters).where(requesters.c.run_id == run_id))
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
