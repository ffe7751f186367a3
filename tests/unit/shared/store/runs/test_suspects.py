"""Runs on which processes have died: counted, and taken apart from the others."""

from __future__ import annotations

from shared.store import Store
from shared.store.processes import heartbeats
from shared.store.runs.run import Run
from shared.store.runs.takeover import SUSPECTED_AFTER, hand_over, set_state, take
from shared.store.schema import RunState
from tests.support.stores.steps import a_moment_later, counted, owned, taken


async def suspects(store: Store, instance: str, dead: str) -> list[Run]:
    return await taken(store, instance, {dead}, limit=1, suspects=True)


async def suspect(store: Store, task_id: str = "t1") -> Run:
    """A run that `alice.1` computed when it died, and `alice.2` after it."""
    await owned(store, task_id)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    assert run.attempts == SUSPECTED_AFTER - 1
    return run


async def test_after_one_death_a_run_is_taken_with_the_others(store: Store) -> None:
    await owned(store)
    found = await counted(store, {"alice.1"})
    assert (found.takeable, found.suspects) == (1, 0)
    assert await suspects(store, "alice.2", "alice.1") == []


async def test_after_the_second_it_is_a_suspect_and_is_taken_as_one(store: Store) -> None:
    await suspect(store)
    found = await counted(store, {"alice.2"})
    assert (found.takeable, found.suspects) == (0, 1)
    assert found.oldest_due_s > 0
    assert await taken(store, "alice.3", {"alice.2"}) == []
    (run,) = await suspects(store, "alice.3", "alice.2")
    assert run.attempts == SUSPECTED_AFTER


async def test_it_stays_one_when_it_is_handed_over(store: Store) -> None:
    await suspect(store)
    (run,) = await suspects(store, "alice.3", "alice.2")
    await store.write(run.run_id, lambda db: hand_over(db, run))
    assert await taken(store) == []
    (again,) = await suspects(store, "alice.4", "alice.3")
    assert again.attempts == SUSPECTED_AFTER


async def test_only_the_one_that_computes_counts_the_death_of_its_owner(store: Store) -> None:
    """The others of its process only waited for workers, or for their turn to be alone."""
    for name in ("guilty", "beside"):
        await owned(store, name)
        await a_moment_later(store)
    waiting = await owned(store, "waiting")
    await store.write(waiting.run_id, lambda db: set_state(db, waiting, RunState.WAITING))
    attempts: dict[str, int] = {}
    for run in await taken(store, "alice.2", {"alice.1"}):
        attempts[run.task_id] = run.attempts
    for death in (2, 3):
        (run,) = await suspects(store, f"alice.{death + 1}", f"alice.{death}")
        attempts[run.task_id] = run.attempts
    assert attempts == {"guilty": 3, "beside": 1, "waiting": 0}
    await store.write("", lambda db: heartbeats.record(db, "alice.4", "alice"))
    (run,) = await suspects(store, "alice.5", "alice.2")
    assert (run.task_id, run.attempts) == ("beside", 2)


async def test_a_take_distinguishes_a_dead_owners_runs_from_due_ones(store: Store) -> None:
    await owned(store, "t1")
    handed = await owned(store, "t2")
    await store.write(handed.run_id, lambda db: hand_over(db, handed))
    found: dict[str, bool] = {}
    runs = await store.write("", lambda db: take(db, "alice", "alice.2", {"alice.1"}, 9, found))
    assert {run.task_id: found[run.run_id] for run in runs} == {"t1": True, "t2": False}
