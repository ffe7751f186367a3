from __future__ import annotations

import asyncio
from dataclasses import replace

from prometheus_client import CollectorRegistry
from sqlalchemy import update
from structlog.testing import capture_logs

from services.agent.runs.admission import Admission
from shared.store import Store
from shared.store.processes.heartbeats import DEAD_AFTER_S, LATE_S, Watch
from shared.store.queries.reports import heartbeats
from shared.store.runs.takeover import postpone
from shared.store.schema import now_s, pauses, runs
from tests.support.processes.instances import instance
from tests.support.processes.upkeep import found, polling, until
from tests.support.stores.steps import claimed, ended, owned, request, taken


def polls(watch: Watch, beats: list[int], *, since: float = 0.0) -> list[set[str]]:
    """One poll a second of `bob.1`, whose count is each of `beats` in turn."""
    return [watch.silent({"bob.1": beat}, since + second) for second, beat in enumerate(beats)]


def test_a_heartbeat_that_does_not_move_for_the_silence_is_dead() -> None:
    assert polls(Watch(), [7, 7, 7, 7]) == [set(), set(), set(), {"bob.1"}]
    assert DEAD_AFTER_S == 3


def test_a_count_that_moves_is_alive_however_it_began() -> None:
    assert polls(Watch(), [1, 2, 2, 2, 3, 3, 3]) == [set()] * 7


def test_one_heartbeat_brings_a_dead_instance_back() -> None:
    assert polls(Watch(), [1, 1, 1, 1, 2, 2])[3:] == [{"bob.1"}, set(), set()]


def test_a_heartbeat_that_starts_again_is_alive() -> None:
    assert polls(Watch(), [9, 9, 9, 1])[-1] == set()


def test_a_late_poll_restarts_the_watch() -> None:
    watch = Watch()
    polls(watch, [1, 1, 1])
    late = 2 + 2 * LATE_S
    assert watch.silent({"bob.1": 1}, late) == set()
    assert polls(watch, [1, 1, 1, 1], since=late)[-1] == {"bob.1"}


def test_a_poll_in_time_does_not_restart_the_watch() -> None:
    watch = Watch()
    polls(watch, [1, 1, 1])
    assert watch.silent({"bob.1": 1}, 2 + LATE_S) == {"bob.1"}


def test_an_instance_that_left_is_forgotten() -> None:
    watch = Watch()
    polls(watch, [1, 1, 1])
    assert watch.silent({}, 3) == set()
    assert watch.silent({"bob.1": 1}, 4) == set()


def test_each_instance_is_watched_for_itself() -> None:
    watch = Watch()
    for second in range(4):
        dead = watch.silent({"bob.1": 1, "bob.2": second}, second)
    assert dead == {"bob.1"}


async def test_a_run_that_may_be_due_is_polled_for_at_once(store: Store) -> None:
    own, admission = instance(store), Admission(2)
    async with polling(own, admission, poll_s=3600.0):
        for task_id in ("t1", "t2"):  # the first poll may find one by itself, not the other
            await claimed(store, request(task_id), slot=False)
            admission.note_due(waits=False)
            while (await found(store, task_id)).status == "due":  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


async def test_metrics_show_waiting_runs_and_messages(store: Store) -> None:
    registry = CollectorRegistry()
    own = instance(store)
    own = replace(own, metrics=type(own.metrics)(registry))
    await owned(store, "later", "alice.0")  # which has no row: it is dead
    [later] = await taken(store, "alice.1")
    await store.write(
        later.run_id, lambda db: postpone(db, later, failures=1, wait_s=600, detail="503")
    )
    await ended(store, await owned(store, "sent"))

    def shown(name: str, **labels: str) -> float:
        return registry.get_sample_value(f"hutch_{name}", labels) or 0.0

    async with polling(own, Admission(1)):
        await until(lambda: shown("outbox_oldest_age_seconds") > 0)
    assert shown("runs", state="due") == 1
    assert shown("run_deaths") == 1
    assert shown("oldest_due_age_seconds") == 0


async def test_heartbeats_are_recorded_while_polls_fail(store: Store) -> None:
    with capture_logs() as logged:
        async with polling(instance(store), Admission(1)):
            await store.write("", lambda db: pauses.drop(db))  # each poll reads this table
            before = await _count(store)
            while await _count(store) == before:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
    assert "poll failed together with a heartbeat" in {it["event"] for it in logged}


async def _count(store: Store) -> int:
    return sum(it.count for it in await store.read(heartbeats))


async def test_a_row_that_cannot_be_read_holds_back_neither_polls_nor_heartbeats(
    store: Store,
) -> None:
    own, admission = instance(store), Admission(2)
    await claimed(store, request("damaged", timeout_s=0), slot=False)
    unreadable = update(runs).values(notes="{", due_at=now_s() + 600)  # it only has to end
    await store.write("", lambda db: db.execute(unreadable).close())
    async with polling(own, admission):
        for task_id in ("t1", "t2"):
            await claimed(store, request(task_id), slot=False)
            while not (await found(store, task_id)).ended_at:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        await until(lambda: admission.taken == 0)
