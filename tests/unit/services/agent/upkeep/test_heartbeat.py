from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from services.agent.delivery.outbox import Relay
from services.agent.instance import Instance
from services.agent.runs.admission import Slots
from services.agent.upkeep import heartbeat as module
from services.agent.upkeep.commands import Orders
from services.agent.upkeep.heartbeat import LATE_S, Sweeper, Watch
from shared.process.stopping import Stopping
from shared.store import Store
from shared.store.processes.heartbeats import SILENCE_S
from shared.store.queries.reports import Row, find
from shared.store.runs.putting_off import put_off
from shared.store.schema import now_s, runs
from tests.support.processes.instances import instance, runs_of
from tests.support.stores.fixtures import claimed, ended, owned, request, taken


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


@asynccontextmanager
async def sweeping(own: Instance, slots: Slots) -> AsyncIterator[Sweeper]:
    """A sweeper at work; what it starts ends at once, without a model."""
    async with asyncio.timeout(10), asyncio.TaskGroup() as jobs:
        open_runs = runs_of(own, slots, jobs)
        execution = open_runs.execution
        pause, scopes = execution.parts.pause, execution.scopes
        orders = Orders(own, slots, open_runs, pause, scopes, Stopping(), jobs)
        sweeper = Sweeper(own, slots, open_runs, Relay(own, jobs), orders)
        serving = jobs.create_task(sweeper.serve())
        await sweeper.caught_up.wait()
        yield sweeper
        serving.cancel()
        await open_runs.hand_over()
        execution.endings.relay.stop()
        sweeper.relay.stop()


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nobody waits for it but a test
        await asyncio.sleep(0.01)


async def found(store: Store, task_id: str = "t1") -> Row:
    (row,) = await store.read(lambda db: find(db, task_id))
    return row


async def test_what_may_be_due_is_looked_for_at_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 3600.0)
    own = instance(store)
    async with sweeping(own, Slots(2)):
        for task_id in ("t1", "t2"):  # the first look may find one by itself, not the other
            await claimed(store, request(task_id), slot=False)
            own.due.set()
            while (await found(store, task_id)).status == "due":  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


async def test_due_runs_that_wait_for_a_slot_go_before_new_deliveries(store: Store) -> None:
    own, slots = instance(store), Slots(1)
    assert slots.try_take()
    await claimed(store, request(), slot=False)
    async with sweeping(own, slots) as sweeper:
        await until(lambda: not sweeper.caught_up.is_set())


async def test_a_suspect_is_taken_once_nothing_computes_and_nothing_begins_before_it(
    store: Store,
) -> None:
    await owned(store, instance="alice.7")
    await taken(store, "alice.8", {"alice.7"})  # neither has a row: both are dead
    own, slots = instance(store), Slots(8)
    slot = slots.try_take()
    assert slot
    async with sweeping(own, slots):
        await until(lambda: not slots.free)
        assert slots.computing == 1
        assert (await found(store)).status == "running"
        slot.release()
        await until(lambda: slots.free == 8)
    assert (await found(store)).attempts == 2
    assert (await found(store)).status == "failed", "without a model"


async def test_what_waits_is_shown(store: Store) -> None:
    registry = CollectorRegistry()
    own = instance(store)
    own = replace(own, metrics=type(own.metrics)(registry))
    await owned(store, "later", "alice.0")  # which has no row: it is dead
    [later] = await taken(store, "alice.1")
    await store.write(
        later.run_id, lambda db: put_off(db, later, failures=1, wait_s=600, detail="503")
    )
    await ended(store, await owned(store, "sent"))

    def shown(name: str, **labels: str) -> float:
        return registry.get_sample_value(f"hutch_{name}", labels) or 0.0

    async with sweeping(own, Slots(1)):
        await until(lambda: shown("outbox_oldest_age_seconds") > 0)
    assert shown("runs", state="due") == 1
    assert shown("run_deaths") == 1
    assert shown("oldest_due_age_seconds") == 0


async def test_a_row_that_can_not_be_read_holds_back_neither_polls_nor_heartbeats(
    store: Store,
) -> None:
    own, slots = instance(store), Slots(2)
    await claimed(store, request("damaged", timeout_s=0), slot=False)
    unreadable = update(runs).values(notes="{", due_at=now_s() + 600)  # it only has to end
    await store.write("", lambda db: db.execute(unreadable).close())
    async with sweeping(own, slots):
        for task_id in ("t1", "t2"):
            await claimed(store, request(task_id), slot=False)
            while not (await found(store, task_id)).ended_at:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        await until(lambda: slots.taken == 0)
