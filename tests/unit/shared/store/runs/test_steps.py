from __future__ import annotations

from dataclasses import replace

import pytest

from shared.errors import RunLost
from shared.store import Store
from shared.store.runs.run import Run, lock
from shared.store.runs.steps import Step, resumed, steps_of, write_step
from tests.support.stores.steps import ended, owned, taken

STEP = Step(1, 0, "model", "m", '{"content": "größe ✓ 🐇"}')


async def written(store: Store, run: Run, step: Step) -> None:
    await store.write(run.run_id, lambda db: write_step(db, run, step))


async def steps(store: Store, run: Run) -> list[Step]:
    return await store.read(lambda db: steps_of(db, run))


async def test_steps_come_back_in_their_order(store: Store) -> None:
    run = await owned(store)
    later = [
        replace(STEP, turn=2),
        replace(STEP, position=2, kind="tool"),
        replace(STEP, position=1),
    ]
    for step in (*later, STEP):
        await written(store, run, step)
    assert await steps(store, run) == [STEP, later[2], later[1], later[0]]


async def test_a_step_written_twice_stays_as_it_was_first(store: Store) -> None:
    run = await owned(store)
    await written(store, run, STEP)
    await written(store, run, replace(STEP, output='"other"'))
    assert await steps(store, run) == [STEP]


async def test_a_zombies_step_is_lost(store: Store) -> None:
    zombie = await owned(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    with pytest.raises(RunLost):
        await written(store, zombie, STEP)
    assert await steps(store, run) == []


async def test_an_ended_run_has_no_owner(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: lock(db, run))
    await ended(store, run)
    with pytest.raises(RunLost):
        await store.write(run.run_id, lambda db: lock(db, run))


async def test_a_later_epoch_continues_from_the_steps_of_the_one_before(store: Store) -> None:
    run = await owned(store)
    await written(store, run, STEP)
    later = replace(STEP, turn=2)
    await written(store, replace(run, epoch=2), later)
    assert await steps(store, replace(run, epoch=2)) == [STEP, later]


async def test_a_resumed_run_gets_its_steps_and_the_stores_time(store: Store) -> None:
    run = await owned(store)
    await written(store, run, STEP)
    found = await store.read(lambda db: resumed(db, run))
    assert (found.steps, found.doubtful) == ([STEP], [])
    assert found.now == pytest.approx(run.claimed_at, abs=60)
