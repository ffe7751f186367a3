"""The condition of the store itself, and of the schedules in it, for the operator."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, text, union
from sqlalchemy.engine import Connection

from shared.store.messages.ticks import READABLE, TickOutcome
from shared.store.schema import instances, now_s, runs, ticks

_SIZE = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT pg_database_size(current_database())",
}
_VERSION = {
    "sqlite": "SELECT 'SQLite ' || sqlite_version()",
    "postgresql": "SELECT 'PostgreSQL ' || current_setting('server_version')",
}


@dataclass(frozen=True)
class Condition:
    version: str
    """The name and version of the database."""
    size_bytes: int
    now: datetime
    """The time on the store's clock."""


@dataclass(frozen=True)
class ScheduleTicks:
    """All nominal times up to `decided_until` are decided; None if no scheduler has run since the
    schedule was written. `last` is the newest of them, with the id of its message if it has one.
    """

    decided_until: datetime | None = None
    last: datetime | None = None
    outcome: TickOutcome | None = None
    message_id: str | None = None


def condition(connection: Connection) -> Condition:
    dialect = connection.dialect.name
    version: str = connection.execute(text(_VERSION[dialect])).scalar_one()
    size: int = connection.execute(text(_SIZE[dialect])).scalar_one()
    return Condition(version, size, _time(connection.execute(select(now_s())).scalar_one()))


def schedule_ticks(
    connection: Connection, schedules: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], ScheduleTicks]:
    """The newest tick of each schedule, by its agent and its name."""
    return {key: _newest(connection, *key) for key in schedules}


def known_agents(connection: Connection) -> set[str]:
    """The agents that have runs or processes, or had them lately."""
    found = union(select(runs.c.agent).distinct(), select(instances.c.agent))
    return set(connection.execute(found).scalars())


def _newest(connection: Connection, agent: str, schedule: str) -> ScheduleTicks:
    query = (
        select(ticks.c.nominal_at, ticks.c.outcome, ticks.c.message_id)
        .where(READABLE, ticks.c.agent == agent, ticks.c.schedule == schedule)
        .order_by(ticks.c.nominal_at.desc(), ticks.c.decided_at.desc())
        .limit(2)  # the newest row can be the one that records the schedule's first sight
    )
    rows = connection.execute(query).all()
    if not rows:
        return ScheduleTicks()
    decided = [row for row in rows if row.outcome != TickOutcome.SEEN]
    until = _time(rows[0].nominal_at)
    if not decided:
        return ScheduleTicks(until)
    last = decided[0]
    return ScheduleTicks(until, _time(last.nominal_at), TickOutcome(last.outcome), last.message_id)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
