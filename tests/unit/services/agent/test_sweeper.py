from __future__ import annotations

import asyncio

import pytest

from services.agent import sweeper
from services.agent.relay import Relay
from services.agent.slots import Slots
from services.agent.sweeper import LATE_S, Sweeper, Watch
from shared.store import Store
from shared.store.beats import SILENCE_S
from shared.store.taking import counts
from tests.instances import instance, runs_of
from tests.stores import claimed, request


def looks(watch: Watch, beats: list[int], *, since: float = 0.0) -> list[set[str]]:
    """One look a second at `bob.1`, whose count is each of `beats` in turn."""
    return [watch.look({"bob.1": beat}, since + second) for second, beat in enumerate(beats)]


def test_a_count_that_stands_still_for_the_silence_is_dead() -> None:
    assert looks(Watch(), [7, 7, 7, 7]) == [set(), set(), set(), {"bob.1"}]
    assert SILENCE_S == 3


def test_a_count_that_moves_is_alive_however_it_began() -> None:
    assert looks(Watch(), [1, 2, 2, 2, 3, 3, 3]) == [set()] * 7


def test_one_beat_brings_a_dead_instance_back() -> None:
    assert looks(Watch(), [1, 1, 1, 1, 2, 2])[3:] == [{"bob.1"}, set(), set()]


def test_a_count_that_begins_anew_is_alive() -> None:
    assert looks(Watch(), [9, 9, 9, 1])[-1] == set()


def test_a_late_look_starts_the_watch_anew() -> None:
    watch = Watch()
    looks(watch, [1, 1, 1])
    late = 2 + 2 * LATE_S
    assert watch.look({"bob.1": 1}, late) == set()
    assert looks(watch, [1, 1, 1, 1], since=late)[-1] == {"bob.1"}


def test_a_look_in_time_does_not() -> None:
    watch = Watch()
    looks(watch, [1, 1, 1])
    assert watch.look({"bob.1": 1}, 2 + LATE_S) == {"bob.1"}


def test_an_instance_that_left_is_forgotten() -> None:
    watch = Watch()
    looks(watch, [1, 1, 1])
    assert watch.look({}, 3) == set()
    assert watch.look({"bob.1": 1}, 4) == set()


def test_each_instance_is_watched_for_itself() -> None:
    watch = Watch()
    for second in range(4):
        dead = watch.look({"bob.1": 1, "bob.2": second}, second)
    assert dead == {"bob.1"}


async def takeable(store: Store) -> int:
    return (await store.read(lambda db: counts(db, "alice", set()))).takeable


async def test_what_may_be_due_is_looked_for_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "LOOK_S", 3600.0)
    own, slots = instance(store), Slots(2)
    async with asyncio.timeout(10), asyncio.TaskGroup() as jobs:
        runs = runs_of(own, slots, jobs)
        sweeping = jobs.create_task(Sweeper(own, slots, runs, Relay(own, jobs)).serve())
        for task_id in ("t1", "t2"):  # the first look may find one by itself, not the other
            await claimed(store, request(task_id, requester=None), slot=False)
            own.due.set()
            while await takeable(store):  # noqa: ASYNC110 - a store tells nobody
                await asyncio.sleep(0.01)
        sweeping.cancel()
        await runs.hand_over()


async def test_due_runs_that_wait_for_a_slot_go_before_new_deliveries(store: Store) -> None:
    own, slots = instance(store), Slots(1)
    assert slots.try_take()
    await claimed(store, request(), slot=False)
    async with asyncio.timeout(10), asyncio.TaskGroup() as jobs:
        relay = Relay(own, jobs)
        sweeping_for = Sweeper(own, slots, runs_of(own, slots, jobs), relay)
        sweeping = jobs.create_task(sweeping_for.serve())
        await sweeping_for.caught_up.wait()
        while sweeping_for.caught_up.is_set():  # noqa: ASYNC110 - nobody waits for the opposite
            await asyncio.sleep(0.01)
        sweeping.cancel()
