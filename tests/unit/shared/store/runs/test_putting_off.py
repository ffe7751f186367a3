"""Runs whose model is away: due again later, nobody's until then."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from shared.errors import RunLost
from shared.store import Store
from shared.store.queries.reports import texts
from shared.store.runs.putting_off import put_off
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.schema import runs
from tests.support.stores.steps import claimed, counted, ended, owned, request, taken

STEP = Step(1, 0, "model", "turn", "{}")


async def postponed(
    store: Store, run: Run, *, failures: int = 1, wait_s: float = 600, detail: str = "503"
) -> None:
    await store.write(
        run.run_id,
        lambda db: put_off(db, run, failures=failures, wait_s=wait_s, detail=detail),
    )


async def due(store: Store, run: Run) -> None:
    """Its time has come."""
    await store.write(
        run.run_id,
        lambda db: db.execute(update(runs).where(runs.c.run_id == run.run_id).values(due_at=0)),
    )


async def test_a_run_that_is_put_off_is_nobodys_until_its_time(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run)
    assert await taken(store, "alice.2", {"alice.1"}) == []
    found = await counted(store)
    assert (found.takeable, found.due, found.oldest_due_s) == (0, 1, 0.0)
    await due(store, run)
    (again,) = await taken(store)
    assert (again.fence, again.attempts, again.failures) == (run.fence + 1, 0, 1)


async def test_it_is_put_off_to_its_deadline_at_the_latest(store: Store) -> None:
    run = (await claimed(store, request(timeout_s=5))).run
    assert run is not None
    await postponed(store, run, wait_s=600)
    due_at = await store.read(lambda db: db.execute(select(runs.c.due_at)).scalar_one())
    assert due_at == run.deadline_at


async def test_put_off_again_after_an_unknown_commit_it_has_failed_once(store: Store) -> None:
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


async def test_a_zombie_puts_nothing_off(store: Store) -> None:
    zombie = await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    with pytest.raises(RunLost):
        await postponed(store, zombie)
    assert (await counted(store)).due == 0


async def test_the_reason_is_there_to_read_until_the_run_ends(store: Store) -> None:
    run = await owned(store)
    await postponed(store, run, wait_s=0, detail="503: \0 and \ud83d")
    assert (await store.read(lambda db: texts(db, run.run_id))).detail == "503:  and ?"
    (run,) = await taken(store)
    await ended(store, run, instance="alice.2")
    assert (await store.read(lambda db: texts(db, run.run_id))).detail is None
