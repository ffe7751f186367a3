"""A schedule's decisions, also after the store's clock was ahead for a while and was set back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import select, update

from services.scheduler.plan import Scheduled
from shared.definitions.schedules.schedule import Schedule
from shared.store import Store, schema
from shared.store.messages import ticks
from shared.store.messages.ticks import ScheduleState, Settled, Tick, TickOutcome, Unsent
from tests.support.stores.steps import owned

NOW, DAY = timedelta(0), timedelta(days=1)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SILENCE_S = 5.0
RHYTHMS = [{"every": "1s"}, {"every": "1h"}, {"cron": "*/7 * * * *"}]


def schedule(**fields: str) -> Scheduled:
    named = {"name": "plan", "prompt": "Plan the day."}
    return Scheduled("alice", Schedule.model_validate(named | fields))


async def settle(store: Store, one: Scheduled, ahead: timedelta = NOW) -> Settled:
    """Decide on what has come by a clock that is so far ahead of the store's."""

    def choose(state: ScheduleState) -> list[Tick]:
        return list(one.choose(replace(state, now=state.now + ahead)))

    name = one.schedule.name
    return await store.write(
        one.key, lambda db: ticks.settle(db, one.agent, name, one.coming, choose)
    )


async def shift(store: Store, column: str, seconds: float) -> None:
    of_all = update(schema.ticks).values({column: schema.ticks.c[column] + seconds})
    await store.write("", lambda db: db.execute(of_all).rowcount)


async def forget_message_ids(store: Store) -> None:
    """Change the rows to those of an earlier version."""
    of_all = update(schema.ticks).values(message_id=None)
    await store.write("", lambda db: db.execute(of_all).rowcount)


async def now(store: Store) -> datetime:
    found = await store.read(lambda db: db.execute(select(schema.now_s())).scalar_one())
    return datetime.fromtimestamp(found, UTC)


async def unsent(store: Store) -> Unsent:
    return await store.write("", partial(ticks.take_unsent, silence_s=SILENCE_S, most=1000))


def emitted(settled: Settled) -> list[Tick]:
    return [tick for tick in settled.ticks if tick.outcome is TickOutcome.SENDING]


@pytest.mark.parametrize("missed", ["last", "none", "all"])
@pytest.mark.parametrize("rhythm", RHYTHMS, ids=str)
async def test_a_clock_that_was_ahead_and_is_set_back_costs_one_tick(
    store: Store, rhythm: dict[str, str], missed: str
) -> None:
    one = schedule(**rhythm, missed=missed, overlap="queue")
    await settle(store, one)
    assert (await settle(store, one, DAY)).ticks
    before = await now(store)
    back = await settle(store, one)
    assert back.ticks == ()
    assert back.set_back_s == pytest.approx(DAY.total_seconds(), abs=2 * 3600)
    assert before < back.last <= next(one.coming(await now(store))), "the next one, and no other"
    again = next(one.coming(back.last))
    if missed != "none":
        [first, *_] = emitted(await settle(store, one, again - await now(store)))
        assert first.nominal_at == again


async def test_a_schedule_first_read_with_a_clock_that_was_ahead_begins_at_once(
    store: Store,
) -> None:
    one = schedule(every="1m")
    await settle(store, one)
    await shift(store, "nominal_at", DAY.total_seconds())
    back = await settle(store, one)
    assert back.set_back_s == pytest.approx(DAY.total_seconds(), abs=60)
    assert back.last <= next(one.coming(await now(store)))


async def test_a_step_back_that_is_shorter_than_the_period_doubles_nothing(store: Store) -> None:
    one = schedule(every="1h", missed="all")
    await settle(store, one)
    decided = await settle(store, one, timedelta(hours=1))
    [tick] = emitted(decided)
    for _ in range(3):
        again = await settle(store, one)
        assert (again.last, again.ticks, again.set_back_s) == (tick.nominal_at, (), 0)


async def test_one_scheduler_alone_reopens_the_times_after_the_clock_is_set_back(
    store: Store,
) -> None:
    one = schedule(every="1m")
    await settle(store, one)
    await settle(store, one, DAY)
    all_of_them = await asyncio.gather(*(settle(store, one) for _ in range(10)))
    assert sum(settled.set_back_s > 0 for settled in all_of_them) == 1
    assert len({settled.last for settled in all_of_them}) == 1


async def test_a_time_that_comes_again_is_another_tick_and_the_first_one_stays_sent(
    store: Store,
) -> None:
    one = schedule(every="1h", missed="all")
    await settle(store, one)
    before = emitted(await settle(store, one, timedelta(hours=5)))
    await settle(store, one)
    again = emitted(await settle(store, one, timedelta(hours=5)))
    assert {tick.tick_id for tick in again} == {tick.tick_id for tick in before[1:]}
    assert not {tick.message_id for tick in again} & {tick.message_id for tick in before}
    for tick in before:  # by the process that had them in hand
        await store.write("", partial(ticks.record_sent, tick=tick))
    await shift(store, "tried_at", -SILENCE_S)
    assert {tick.message_id for tick in (await unsent(store)).ticks} == {
        tick.message_id for tick in again
    }


async def test_while_the_run_of_an_opened_tick_continues_the_next_is_skipped(store: Store) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    [tick] = emitted(await settle(store, one, DAY))
    await owned(store, tick.published_as)
    await settle(store, one)
    outcomes = [it.outcome for it in (await settle(store, one, timedelta(hours=2))).ticks]
    assert outcomes == [TickOutcome.SKIPPED]


async def test_ticks_of_an_earlier_version_hold_up_the_next_and_are_opened_too(
    store: Store,
) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    [tick] = emitted(await settle(store, one, timedelta(hours=1)))
    await forget_message_ids(store)
    await owned(store, tick.tick_id)
    busy = await settle(store, one, timedelta(hours=2))
    assert [it.outcome for it in busy.ticks] == [TickOutcome.SKIPPED]
    await forget_message_ids(store)
    back = await settle(store, one)
    assert back.set_back_s > 0
    assert len((await settle(store, one, DAY)).ticks) > 1


async def test_a_tick_left_by_a_scheduler_whose_clock_was_ahead_is_sent_by_another(
    store: Store,
) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    [tick] = emitted(await settle(store, one, timedelta(hours=1)))
    await shift(store, "tried_at", SILENCE_S / 2)
    assert (await unsent(store)).ticks == (), "a small step is not worth a copy"
    await shift(store, "tried_at", DAY.total_seconds())
    assert (await unsent(store)).ticks == (tick,)
    assert (await unsent(store)).ticks == ()


async def test_an_unclaimed_tick_holds_up_later_ones_no_longer_after_the_clock_is_set_back(
    store: Store,
) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    await settle(store, one, timedelta(hours=1))
    await shift(store, "decided_at", 2 * ticks.UNCLAIMED_S)
    assert emitted(await settle(store, one, timedelta(hours=2)))


@pytest.mark.parametrize("seconds", [1e300, -1e300])
async def test_ticks_whose_times_were_damaged_are_ignored(store: Store, seconds: float) -> None:
    one = schedule(every="1s")
    await settle(store, one)
    assert (await settle(store, one, timedelta(seconds=3))).ticks
    await shift(store, "tried_at", -DAY.total_seconds())
    await shift(store, "nominal_at", seconds)
    assert (await unsent(store)).ticks == ()
    assert abs((await settle(store, one)).last - await now(store)) < timedelta(minutes=1)


async def test_a_damaged_row_that_has_taken_a_ticks_id_keeps_back_no_later_tick(
    store: Store,
) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    [tick] = (await settle(store, one, timedelta(hours=1))).ticks
    damaged = update(schema.ticks).where(schema.ticks.c.tick_id == tick.tick_id)
    await store.write("", lambda db: db.execute(damaged.values(nominal_at=1e300)).rowcount)
    assert (await settle(store, one, timedelta(hours=1))).ticks == ()
    later = await settle(store, one, timedelta(hours=2))
    assert [it.nominal_at for it in later.ticks] == [tick.nominal_at + timedelta(hours=1)]


def by_hand(one: Scheduled, name: str = "1") -> Tick:
    id = f"alice.plan@hand.{name}"
    return Tick(id, one.agent, one.schedule.name, NOON, TickOutcome.SENDING, "{}", id)


async def settle_by_hand(store: Store, one: Scheduled, name: str = "1") -> Tick | None:
    skip = one.schedule.overlap == "skip"
    return await store.write(
        one.key, lambda db: ticks.settle_by_hand(db, by_hand(one, name), one.coming, skip=skip)
    )


async def test_a_tick_by_hand_is_one_message_and_delays_or_skips_the_next_as_any_tick(
    store: Store,
) -> None:
    one = schedule(every="1h")
    await settle(store, one)
    first = await settle_by_hand(store, one)
    assert first is not None
    assert await settle_by_hand(store, one) == replace(by_hand(one), outcome=TickOutcome.SENDING)
    assert await settle_by_hand(store, one, "2") is None, "its run has not ended"
    later = await settle(store, one, timedelta(hours=1))
    assert [it.outcome for it in later.ticks] == [TickOutcome.SKIPPED]
    [unsent_tick] = (await unsent_after(store, SILENCE_S)).ticks
    assert unsent_tick.message_id == first.message_id, "another scheduler sends it"


async def unsent_after(store: Store, seconds: float) -> Unsent:
    await shift(store, "tried_at", -seconds)
    return await unsent(store)


async def test_a_tick_by_hand_decides_no_time_of_the_schedule(store: Store) -> None:
    one = schedule(every="1h", overlap="queue")
    await settle(store, one)
    await shift(store, "nominal_at", -3 * 3600)
    assert await settle_by_hand(store, one) is not None
    assert len((await settle(store, one)).ticks) >= 3
