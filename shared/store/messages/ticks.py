"""Ticks: the outcome of each nominal time of a schedule, decided once for all schedulers.

A tick is a row. It is committed as `sending` with its message; then the message is published, and
the row becomes `sent`. Times are compared with the store's clock, so that schedulers on machines
with different clocks agree.

If that clock is set back, some times that are already decided lie in the future again. The first
of them stays decided, and the others are opened, to be decided again. So at most one tick is left
out, however far the clock was set back. A step back that is shorter than the schedule's period
opens none, and no two ticks come closer together than the schedule says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import run_id
from shared.store.database.dialect import upsert
from shared.store.schema import LATEST_S, RunState, now_s, runs, ticks

UNCLAIMED_S = 24 * 3600.0
"""A tick that no agent has claimed for a day no longer delays the next one: its message may be
lost."""


READABLE = ticks.c.nominal_at.between(0, LATEST_S)
"""Rows whose time is damaged can't be compared and are ignored."""


class TickOutcome(StrEnum):
    SEEN = "seen"
    """No tick: the time at which a scheduler first saw the schedule, whose ticks begin after it."""
    SENDING = "sending"
    SENT = "sent"
    SKIPPED = "skipped"
    """Not sent: the tick before it was still open."""
    MISSED = "missed"
    """Not sent: no scheduler ran at that time, and the schedule does not make up for it."""


@dataclass(frozen=True)
class Tick:
    """One nominal time. While it is `sending`, `message` is the body to publish and `message_id`
    the message's id."""

    tick_id: str
    agent: str
    schedule: str
    nominal_at: datetime
    outcome: TickOutcome
    message: str | None = None
    message_id: str | None = None
    """None in rows of earlier versions, whose messages have the `tick_id` as their id."""

    @property
    def published_as(self) -> str:
        return self.message_id or self.tick_id


@dataclass(frozen=True)
class ScheduleState:
    """All nominal times of a schedule up to `last` are decided; `busy`: its last tick has not
    ended."""

    now: datetime
    last: datetime
    busy: bool


@dataclass(frozen=True)
class Settled:
    """All nominal times up to `last` are decided; `ticks` are those decided by this call.

    `set_back_s` is how far the decided times lay ahead of the store's clock, if the clock was set
    back and times were opened; otherwise 0.
    """

    last: datetime
    ticks: tuple[Tick, ...] = ()
    set_back_s: float = 0.0


@dataclass(frozen=True)
class Unsent:
    now: datetime
    ticks: tuple[Tick, ...]


def settle(
    connection: Connection,
    agent: str,
    schedule: str,
    coming: Callable[[datetime], Iterator[datetime]],
    choose: Callable[[ScheduleState], Sequence[Tick]],
) -> Settled:
    """Commit the ticks that `choose` decides for the schedule's state, one scheduler at a time.

    `coming` gives the schedule's nominal times after a given time, in order. A new schedule is only
    recorded as `seen`: its ticks begin after now.
    """
    first = f"{agent}.{schedule}@seen"
    _see(connection, first, agent, schedule)
    connection.execute(select(ticks.c.tick_id).where(ticks.c.tick_id == first).with_for_update())
    state = _state(connection, agent, schedule)
    if state.last > state.now:
        ahead = list(islice(coming(state.now), 2))
        if len(ahead) == 2 and ahead[1] <= state.last:
            _reopen(connection, agent, schedule, first, ahead[0])
            set_back_s = (state.last - state.now).total_seconds()
            return Settled(ahead[0], set_back_s=set_back_s)
    chosen = tuple(choose(state))
    last = chosen[-1].nominal_at if chosen else state.last
    return Settled(last, tuple(tick for tick in chosen if _insert(connection, tick)))


def settle_by_hand(
    connection: Connection,
    tick: Tick,
    coming: Callable[[datetime], Iterator[datetime]],
    *,
    skip: bool,
) -> Tick | None:
    """Commit a tick that a person wants now, as it is to be published; None if `skip` is set and
    the schedule's last tick is still open.

    It decides no nominal time: if some have come that no scheduler has decided yet, they stay
    undecided. Repeating it with the same id returns the first tick.
    """
    first = f"{tick.agent}.{tick.schedule}@seen"
    _see(connection, first, tick.agent, tick.schedule)
    connection.execute(select(ticks.c.tick_id).where(ticks.c.tick_id == first).with_for_update())
    known = connection.execute(select(ticks).where(ticks.c.tick_id == tick.tick_id)).first()
    if known is not None:
        return replace(tick, outcome=TickOutcome(known.outcome))
    state = _state(connection, tick.agent, tick.schedule)
    if skip and state.busy:
        return None
    following = next(coming(state.last), None)
    all_decided = state.last <= state.now and (following is None or following > state.now)
    decided = replace(tick, nominal_at=state.now if all_decided else state.last)
    _insert(connection, decided)
    return decided


def take_unsent(connection: Connection, silence_s: float, most: int) -> Unsent:
    """The store's time, and up to `most` ticks that have been `sending` for `silence_s`.

    The caller is to publish them; no other scheduler gets them for another `silence_s`.
    """
    now = _now(connection)
    rows = connection.execute(
        select(ticks)
        .where(
            READABLE,
            ticks.c.outcome == TickOutcome.SENDING,
            # Or last tried at a time in the future: the clock was set back since.
            or_(ticks.c.tried_at <= now - silence_s, ticks.c.tried_at > now + silence_s),
        )
        .order_by(ticks.c.tried_at, ticks.c.nominal_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    ).all()
    ids = [row.tick_id for row in rows]
    if ids:
        connection.execute(update(ticks).where(ticks.c.tick_id.in_(ids)).values(tried_at=now))
    found = (
        Tick(
            row.tick_id,
            row.agent,
            row.schedule,
            _time(row.nominal_at),
            TickOutcome(row.outcome),
            row.message,
            row.message_id,
        )
        for row in rows
    )
    return Unsent(_time(now), tuple(found))


def outcome(connection: Connection, key: str) -> tuple[str, TickOutcome] | None:
    """The agent and the outcome of the tick with this id, or whose message has this id."""
    found = select(ticks.c.agent, ticks.c.outcome).where(
        or_(ticks.c.tick_id == key, ticks.c.message_id == key)
    )
    row = connection.execute(found.where(ticks.c.outcome.in_(TickOutcome))).first()
    return (row.agent, TickOutcome(row.outcome)) if row else None


def record_sent(connection: Connection, tick: Tick) -> float:
    """Record that the broker has confirmed the tick; returns the seconds since its nominal time.

    0 if the tick has no row any more, because its time was opened again meanwhile.
    """
    late = connection.execute(
        update(ticks)
        .where(ticks.c.tick_id.in_([tick.tick_id, tick.published_as]))
        .where(func.coalesce(ticks.c.message_id, ticks.c.tick_id) == tick.published_as)
        .values(outcome=TickOutcome.SENT, message=None, tried_at=None)
        .returning(now_s() - ticks.c.nominal_at)
    )
    return float(late.scalar() or 0.0)


def _reopen(connection: Connection, agent: str, schedule: str, first: str, kept: datetime) -> None:
    """Open all times after `kept`, so that they are decided again.

    Ticks with a message are kept under the message's id as `tick_id`: the next tick may have to
    wait until their runs have ended.
    """
    at = kept.timestamp()
    later = (ticks.c.agent == agent, ticks.c.schedule == schedule, ticks.c.nominal_at > at)
    connection.execute(update(ticks).where(ticks.c.tick_id == first).values(nominal_at=at))
    connection.execute(delete(ticks).where(*later, ticks.c.message_id.is_(None)))
    moved = {"tick_id": ticks.c.message_id, "nominal_at": at}
    connection.execute(update(ticks).where(*later).values(moved))


def _see(connection: Connection, first: str, agent: str, schedule: str) -> None:
    statement = upsert(connection, ticks).values(
        tick_id=first,
        agent=agent,
        schedule=schedule,
        nominal_at=now_s(),
        decided_at=now_s(),
        outcome=TickOutcome.SEEN,
    )
    connection.execute(statement.on_conflict_do_nothing())


def _state(connection: Connection, agent: str, schedule: str) -> ScheduleState:
    of_schedule = (ticks.c.agent == agent) & (ticks.c.schedule == schedule)
    latest = select(func.coalesce(func.max(ticks.c.nominal_at), now_s())).where(
        of_schedule, READABLE
    )
    last = connection.execute(latest).scalar_one()
    emitted = (
        select(ticks.c.tick_id, ticks.c.message_id, ticks.c.decided_at)
        .where(of_schedule, READABLE, ticks.c.outcome.in_([TickOutcome.SENDING, TickOutcome.SENT]))
        .order_by(ticks.c.nominal_at.desc(), ticks.c.decided_at.desc())
        .limit(1)
    )
    before = connection.execute(emitted).first()
    now = _now(connection)
    busy = before is not None and _is_open(
        connection,
        run_id(agent, before.message_id or before.tick_id),
        _age_s(now, before.decided_at),
    )
    return ScheduleState(_time(now), _time(last), busy)


def _is_open(connection: Connection, run: str, age_s: float) -> bool:
    state = connection.execute(select(runs.c.state).where(runs.c.run_id == run)).scalar()
    return age_s < UNCLAIMED_S if state is None else state != RunState.ENDED


def _age_s(now: float, decided_at: object) -> float:
    """The age of a tick; a damaged row counts as old enough not to delay the next tick."""
    return abs(now - decided_at) if isinstance(decided_at, int | float) else UNCLAIMED_S


def _insert(connection: Connection, tick: Tick) -> bool:
    """Insert a tick; False if a damaged row, which is ignored, already has the tick's id."""
    statement = upsert(connection, ticks).values(
        tick_id=tick.tick_id,
        agent=tick.agent,
        schedule=tick.schedule,
        nominal_at=tick.nominal_at.timestamp(),
        decided_at=now_s(),
        outcome=tick.outcome,
        message=tick.message,
        message_id=tick.message_id,
        tried_at=now_s() if tick.outcome is TickOutcome.SENDING else None,
    )
    return bool(connection.execute(statement.on_conflict_do_nothing()).rowcount)


def _now(connection: Connection) -> float:
    return float(connection.execute(select(now_s())).scalar_one())


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
