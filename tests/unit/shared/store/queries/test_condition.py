from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

from shared.store import Store
from shared.store.messages.ticks import ScheduleState, Tick, TickOutcome, settle
from shared.store.processes import heartbeats
from shared.store.queries.condition import (
    ScheduleTicks,
    condition,
    known_agents,
    schedule_ticks,
)
from tests.support.stores.steps import owned

KEY = ("alice", "plan")


def coming(after: datetime) -> Iterator[datetime]:
    while True:
        after += timedelta(hours=1)
        yield after


async def ticks(store: Store) -> ScheduleTicks:
    return (await store.read(partial(schedule_ticks, schedules=[KEY])))[KEY]


async def test_the_store_has_a_version_a_size_and_a_clock(store: Store) -> None:
    found = await store.read(condition)
    assert re.match(r"(SQLite|PostgreSQL) \d+\.\d+", found.version)
    assert 10_000 < found.size_bytes < 100_000_000
    assert abs(found.now - datetime.now(UTC)) < timedelta(seconds=30)


async def test_a_schedule_has_its_last_tick_once_a_scheduler_has_decided_on_one(
    store: Store,
) -> None:
    assert await ticks(store) == ScheduleTicks()
    decide = partial(settle, agent="alice", schedule="plan", coming=coming)
    seen = await store.write("", partial(decide, choose=lambda _: []))
    assert await ticks(store) == ScheduleTicks(decided_until=seen.last)
    at = seen.last + timedelta(milliseconds=1)

    def skip(_: ScheduleState) -> list[Tick]:
        return [Tick("alice.plan@1", "alice", "plan", at, TickOutcome.SKIPPED)]

    await store.write("", partial(decide, choose=skip))
    assert await ticks(store) == ScheduleTicks(at, at, TickOutcome.SKIPPED)


async def test_agents_with_runs_or_processes_are_known(store: Store) -> None:
    await owned(store)
    await store.write("", lambda db: heartbeats.record(db, "tom.1", "tom"))
    assert await store.read(known_agents) == {"alice", "tom"}
