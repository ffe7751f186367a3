"""Take-overs: who goes on with what nobody runs."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from shared.store import Store, open_store
from shared.store.processes.heartbeats import beat, leave
from shared.store.queries.poll import Counts
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import hand_over, mark, take
from shared.store.schema import RunState
from tests.support.stores.steps import (
    a_moment_later,
    claimed,
    counted,
    ended,
    owned,
    request,
    taken,
)


def tasks(runs: list[Run]) -> list[str]:
    return [run.task_id for run in runs]


async def test_what_a_living_instance_runs_is_left_to_it(store: Store) -> None:
    await owned(store)
    assert await taken(store) == []
    assert await counted(store) == Counts()


async def test_a_dead_instances_runs_are_taken_with_the_next_fence(store: Store) -> None:
    first = await owned(store)
    await a_moment_later(store)
    waiting = await owned(store, "t2")
    await store.write(waiting.run_id, lambda db: mark(db, waiting, RunState.WAITING))
    assert (await counted(store, {"alice.1"})).takeable == 2
    runs = await taken(store, "alice.2", {"alice.1"})
    assert tasks(runs) == ["t1", "t2"]
    assert [(run.fence, run.attempts) for run in runs] == [(2, 1), (2, 0)]
    assert (await counted(store)).most_deaths == 1
    assert runs[0].claimed_at == first.claimed_at
    assert runs[0].definition == first.definition


async def test_a_run_that_nobody_had_a_slot_for_is_taken_with_a_fence_of_its_own(
    store: Store,
) -> None:
    """The first fence says that the run was claimed just now."""
    await claimed(store, request(), slot=False)
    (run,) = await taken(store)
    assert (run.fence, run.attempts) == (2, 0)


async def test_a_run_whose_owner_has_no_row_is_anybodys(store: Store) -> None:
    await owned(store, "t1", "alice.0")
    await owned(store, "t2", "alice.1")
    assert tasks(await taken(store)) == ["t1"]
    await store.write("", lambda db: leave(db, "alice.1"))
    assert "t2" in tasks(await taken(store, "alice.3"))


async def test_a_hand_over_is_no_attempt(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: hand_over(db, run))
    (again,) = await taken(store)
    assert (again.fence, again.attempts) == (2, 0)


async def test_a_run_that_is_due_later_is_not_taken_yet(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: hand_over(db, run, delay_s=600))
    assert await taken(store) == []
    assert (await counted(store)).takeable == 0


async def test_a_run_that_waited_for_a_slot_is_no_fresh_one(store: Store) -> None:
    """A fence of 1 means: claimed this moment, with all its time still before it."""
    await claimed(store, request(), slot=False)
    (run,) = await taken(store)
    assert (run.fence, run.attempts) == (2, 0)


async def test_an_ended_run_is_nobodys(store: Store) -> None:
    await ended(store, await owned(store))
    assert await taken(store, "alice.2", {"alice.1"}) == []


async def test_another_agents_runs_are_left_alone(store: Store) -> None:
    await claimed(store, request(), slot=False)
    found = await store.write("", lambda db: take(db, "bob", "bob.1", set(), 10, {}))
    assert found == []


async def test_the_oldest_due_are_taken_first_as_many_as_asked(store: Store) -> None:
    for number in range(5):
        await claimed(store, request(f"t{number}"), slot=False)
        await a_moment_later(store)
    assert (await counted(store)).oldest_due_s >= 0
    assert tasks(await taken(store, limit=2)) == ["t0", "t1"]
    await store.write("", lambda db: beat(db, "alice.2", "alice"))
    assert tasks(await taken(store, limit=9)) == ["t2", "t3", "t4"]


@pytest.mark.essential
async def test_two_takers_never_get_the_same_run(store: Store, store_url: str) -> None:
    for number in range(40):
        await claimed(store, request(f"t{number}"), slot=False)
    for name in ("alice.2", "alice.3"):
        await store.write("", partial(beat, instance=name, agent="alice"))
    async with open_store(store_url) as second:
        takes = await asyncio.gather(
            *(taken((store, second)[n % 2], f"alice.{2 + n % 2}", limit=5) for n in range(16))
        )
    got = [task for runs in takes for task in tasks(runs)]
    assert sorted(got) == sorted(f"t{number}" for number in range(40))


async def test_a_take_repeated_after_an_unknown_commit_finds_its_own(store: Store) -> None:
    await claimed(store, request("t1"), slot=False)
    await claimed(store, request("t2"), slot=False)
    earlier: dict[str, bool] = {}
    first = await store.write("", lambda db: take(db, "alice", "alice.1", set(), 1, earlier))
    again = await store.write("", lambda db: take(db, "alice", "alice.1", set(), 1, earlier))
    assert again == first


async def test_a_take_repeated_after_a_rollback_takes_what_is_left(store: Store) -> None:
    await claimed(store, request("t1"), slot=False)
    earlier = {request("t0").run_id: False}  # chosen by an attempt that another replica overtook
    runs = await store.write("", lambda db: take(db, "alice", "alice.1", set(), 5, earlier))
    assert tasks(runs) == ["t1"]


async def test_a_finished_step_clears_a_run_of_the_deaths_before_it(store: Store) -> None:
    await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    (run,) = await taken(store, "alice.3", {"alice.2"}, suspects=True)
    assert run.attempts == 2
    step = Step(1, 0, "model", "turn", "{}")
    await store.write(run.run_id, lambda db: write_step(db, run, step))
    (run,) = await taken(store, "alice.4", {"alice.3"})
    assert run.attempts == 1
