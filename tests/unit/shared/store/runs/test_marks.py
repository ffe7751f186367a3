"""Marks: what happened to a run between its steps, for its timeline."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select, update

from shared.contract.messages import Status
from shared.store import Store
from shared.store.retention import delete_runs
from shared.store.runs.end import RunEnd, end
from shared.store.runs.replay import replay
from shared.store.runs.steps import Step, write_step
from shared.store.runs.takeover import hand_over, postpone
from shared.store.schema import INTEGER_MAX, marks, runs, steps
from tests.support.stores.steps import DONE, claimed, ended, owned, request, taken

STEP = Step(1, 0, "model", "turn", "{}", seconds=0.5)


async def marked(store: Store, run_id: str = request().run_id) -> list[tuple[str, str, str]]:
    query = select(marks.c.kind, marks.c.instance, marks.c.reason).where(marks.c.run_id == run_id)
    found = await store.read(lambda db: db.execute(query.order_by(marks.c.number)).all())
    return [(row.kind, row.instance, row.reason) for row in found]


async def test_a_run_that_waits_for_a_slot_is_marked_when_it_starts(store: Store) -> None:
    await claimed(store, request(), slot=False)
    assert await marked(store) == []
    await taken(store)
    assert await marked(store) == [("started", "alice.2", "")]


async def test_a_takeover_names_the_new_owner_and_the_dead_one(store: Store) -> None:
    await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    assert await marked(store) == [("taken_over", "alice.2", "alice.1")]


async def test_postponing_handing_over_and_replaying_are_marked_in_their_order(
    store: Store,
) -> None:
    run = await owned(store)
    later = partial(postpone, run=run, failures=1, wait_s=0, detail="503")
    await store.write(run.run_id, later)
    (run,) = await taken(store, "alice.2")
    await store.write(run.run_id, lambda db: hand_over(db, run))
    (run,) = await taken(store, "alice.3")
    ending = RunEnd(Status.FAILED, "m1", DONE)
    await store.write(run.run_id, lambda db: end(db, run, ending, "alice.3"))
    await store.write(run.run_id, lambda db: replay(db, run.run_id, 1, 60, None))
    await taken(store, "alice.4")
    assert await marked(store) == [
        ("postponed", "alice.1", "503"),
        ("started", "alice.2", ""),
        ("handed_over", "alice.2", ""),
        ("started", "alice.3", ""),
        ("replayed", "", ""),
        ("started", "alice.4", ""),
    ]


async def test_a_commit_that_is_repeated_marks_the_run_once(store: Store) -> None:
    run = await owned(store)
    for _ in range(2):
        await store.write(run.run_id, lambda db: hand_over(db, run))
    assert await marked(store) == [("handed_over", "alice.1", "")]


async def test_a_damaged_fence_leaves_only_the_mark_out(store: Store) -> None:
    await owned(store)
    await store.write("", lambda db: db.execute(update(runs).values(fence=INTEGER_MAX - 1)))
    assert [run.fence for run in await taken(store, "alice.2", {"alice.1"})] == [INTEGER_MAX]
    assert await marked(store) == []


async def test_marks_are_deleted_with_their_run(store: Store) -> None:
    await owned(store)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    await ended(store, run, instance="alice.2")
    await store.write("", lambda db: delete_runs(db, [run.run_id]))
    assert await marked(store) == []


async def test_a_step_is_stored_with_the_time_that_it_took(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    last = Step(2, 0, "model", "turn", "{}", seconds=1.5)
    ending = RunEnd(Status.OK, "m1", DONE, steps=(last,))
    await store.write(run.run_id, lambda db: end(db, run, ending, "alice.1"))
    query = select(steps.c.seconds).order_by(steps.c.turn)
    assert await store.read(lambda db: db.execute(query).scalars().all()) == [0.5, 1.5]
