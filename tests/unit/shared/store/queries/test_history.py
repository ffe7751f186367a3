from __future__ import annotations

from dataclasses import replace

from shared.store import Store
from shared.store.queries.history import SUMMARISED_RUNS, FinishedRun, finished_work, has_tick
from tests.support.stores.steps import a_moment_later, claimed, ended, owned, request


async def history(store: Store) -> list[FinishedRun]:
    return await store.read(lambda db: finished_work(db, "alice"))


async def test_an_agent_with_an_open_run_has_not_rested(store: Store) -> None:
    await ended(store, await owned(store, "t1"))
    await claimed(store, request("t2"), slot=False)
    assert await history(store) == []


async def test_the_newest_finished_work_is_summed_oldest_first(store: Store) -> None:
    runs = [await owned(store, f"t{number}") for number in range(SUMMARISED_RUNS + 2)]
    for run in runs:
        await ended(store, run, f'"{run.task_id}"')
        await a_moment_later(store)
    assert [done.run_id for done in await history(store)] == [run.run_id for run in runs[2:]]


async def test_a_tick_is_no_work(store: Store) -> None:
    run = (await claimed(store, replace(request(), kind="tick"))).run
    assert run is not None
    await ended(store, run)
    assert await history(store) == []


async def test_a_tick_is_known_once_it_is_claimed_and_a_task_under_its_id_is_none(
    store: Store,
) -> None:
    tick, task = replace(request("t1"), kind="tick"), request("t2")
    both = [tick.run_id, task.run_id]
    await claimed(store, task)
    assert not await store.read(lambda db: has_tick(db, both))
    await claimed(store, tick)
    assert await store.read(lambda db: has_tick(db, both))
