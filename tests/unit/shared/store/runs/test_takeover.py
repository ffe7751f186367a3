"""Take-overs, hand-overs and postponements: which replica goes on with a run, and when."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import select, update

from shared.errors import RunLost
from shared.store import Store, open_store
from shared.store.processes import heartbeats
from shared.store.queries.poll import Counts
from shared.store.queries.texts import run_texts
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import hand_over, postpone, set_state, take
from shared.store.schema import RunState, runs
from tests.support.stores.steps import (
    a_moment_later,
    claimed,
    counted,
    ended,
    owned,
    request,
    taken,
)

STEP = Step(1, 0, "model", "turn", "{}")


def tasks(taken: list[Run]) -> list[str]:
    return [run.task_id for run in taken]


async def postponed(
    store: Store, run: Run, *, failures: int = 1, wait_s: float = 600, detail: str = "503"
) -> None:
    await store.write(
        run.run_id,
        lambda db: postpone(db, run, failures=failures, wait_s=wait_s, detail=detail),
    )


async def due(store: Store, run: Run) -> None:
    """Its time has come."""
    await store.write(
        run.run_id,
        lambda db: db.execute(update(runs).where(runs.c.run_id == run.run_id).values(due_at=0)),
    )


async def test_a_living_instance_keeps_its_runs(store: Store) -> None:
    await owned(store)
    assert await taken(store) == []
    assert await counted(store) == Counts()


async def test_a_dead_instances_runs_are_taken_with_the_next_fence(store: Store) -> None:
    first = await owned(store)
    await a_moment_later(store)
    waiting = await owned(store, "t2")
    await store.write(waiting.run_id, lambda db: set_state(db, waiting, RunState.WAITING))
    assert (await counted(store, {"alice.1"})).takeable == 2
    runs = await taken(store, "alice.2", {"alice.1"})
    assert tasks(runs) == ["t1", "t2"]
    assert [(run.fence, run.attempts) for run in runs] == [(2, 1), (2, 0)]
    assert (await counted(store)).most_deaths == 1
    assert runs[0].claimed_at == first.claimed_at
    assert runs[0].definition == first.definition


async def test_a_run_that_found_no_slot_is_taken_with_a_fence_of_its_own(
    store: Store,
) -> None:
    """The first fence says that the run was claimed just now."""
    await claimed(store, request(), slot=False)
    (run,) = await taken(store)
    assert (run.fence, run.attempts) == (2, 0)


async def test_a_run_whose_owner_has_no_row_may_be_taken_by_any_replica(store: Store) -> None:
    await owned(store, "t1", "alice.0")
    await owned(store, "t2", "alice.1")
    assert tasks(await taken(store)) == ["t1"]
    await store.write("", lambda db: heartbeats.remove(db, "alice.1"))
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


async def test_an_ended_run_belongs_to_no_instance(store: Store) -> None:
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
    await store.write("", lambda db: heartbeats.record(db, "alice.2", "alice"))
    assert tasks(await taken(store, limit=9)) == ["t2", "t3", "t4"]


@pytest.mark.essential
async def test_two_takers_never_get_the_same_run(store: Store, store_url: str) -> None:
    for number in range(40):
        await claimed(store, request(f"t{number}"), slot=False)
    for name in ("alice.2", "alice.3"):
        await store.write("", partial(heartbeats.record, instance=name, agent="alice"))
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


async def test_a_take_repeated_after_a_rollback_takes_the_remaining_runs(store: Store) -> None:
    await claimed(store, request("t1"), slot=False)
    earlier = {request("t0").run_id: False}  # chosen by an attempt that another replica overtook
    runs = await store.write("", lambda db: take(db, "alice", "alice.1", set(), 5, earlier))
    assert tasks(runs) == ["t1"]


async def test_a_finished_step_clears_a_run_of_the_deaths_before_it(store: Store) -> None:
    await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    (run,) = await taken(store, "alice.3", {"alice.2"}, suspects=True)
    assert run.attempts == 2
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    (run,) = await taken(store, "alice.4", {"alice.3"})
    assert run.attempts == 1


async def test_a_postponed_run_is_not_taken_before_its_due_time(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run)
    assert await taken(store, "alice.2", {"alice.1"}) == []
    found = await counted(store)
    assert (found.takeable, found.due, found.oldest_due_s) == (0, 1, 0.0)
    await due(store, run)
    (again,) = await taken(store)
    assert (again.fence, again.attempts, again.failures) == (run.fence + 1, 0, 1)


async def test_it_is_postponed_to_its_deadline_at_the_latest(store: Store) -> None:
    run = (await claimed(store, request(timeout_s=5))).run
    assert run is not None
    await postponed(store, run, wait_s=600)
    due_at = await store.read(lambda db: db.execute(select(runs.c.due_at)).scalar_one())
    assert due_at == run.deadline_at


async def test_postponed_again_after_an_unknown_commit_it_has_failed_once(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run)
    await postponed(store, run)
    await due(store, run)
    (again,) = await taken(store)
    assert again.failures == 1


async def test_a_finished_step_clears_a_run_of_its_failures(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run, failures=7, wait_s=0)
    (run,) = await taken(store)
    assert run.failures == 7
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    (run,) = await taken(store, "alice.3", {"alice.2"})
    assert run.failures == 0


async def test_a_zombie_postpones_nothing(store: Store) -> None:
    zombie = await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    with pytest.raises(RunLost):
        await postponed(store, zombie)
    assert (await counted(store)).due == 0


async def test_the_reason_is_there_to_read_until_the_run_ends(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run, wait_s=0, detail="503: \0 and \ud83d")
    assert (await store.read(lambda db: run_texts(db, run.run_id))).detail == "503:  and ?"
    (run,) = await taken(store)
    await ended(store, run, instance="alice.2")
    assert (await store.read(lambda db: run_texts(db, run.run_id))).detail is None
