"""What the timeline of a tree reads, and what of it has changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import update

from shared.store import Store
from shared.store.queries.timeline import LATE_S, RunLine, TreeLines, bodies, replies, tree
from shared.store.runs.steps import Step, write_step
from shared.store.schema import runs, steps
from tests.support.stores.steps import DEFINITION, claimed, ended, owned, request, taken

STEP = Step(1, 0, "model", "turn", '{"content": "Said."}', 0.5)


async def read(store: Store, since: float | None = None) -> TreeLines:
    return await store.read(lambda db: tree(db, "t1", since))


def by_task(lines: Iterable[RunLine]) -> list[RunLine]:
    """In an order that does not depend on claims in one millisecond."""
    return sorted(lines, key=lambda it: it.row.task_id)


async def test_a_tree_has_the_steps_and_marks_of_each_run(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    await taken(store, "alice.2", {"alice.1"})
    await claimed(store, replace(request("t2"), root_id="t1", parent_id="t1"))
    found = await read(store)
    assert found.steps == 1
    first, second = by_task(found.lines)
    assert [(it.kind, it.name, it.seconds) for it in first.steps] == [("model", "turn", 0.5)]
    assert [(it.kind, it.instance) for it in first.marks] == [("taken_over", "alice.2")]
    assert (second.row.task_id, second.steps, second.marks) == ("t2", (), ())
    assert second.beginning == request("t2").message


async def test_an_ended_run_is_left_out_once_it_cannot_have_changed(store: Store) -> None:
    await ended(store, await owned(store))
    await claimed(store, replace(request("t2"), root_id="t1", parent_id="t1"))
    now = (await read(store)).now
    assert {it.row.task_id for it in (await read(store, now)).lines} == {"t1", "t2"}
    later = await read(store, now + LATE_S + 1)
    assert [it.row.task_id for it in later.lines] == ["t2"]
    assert {it.task_id for it in later.rows} == {"t1", "t2"}


async def test_replies_and_definitions_are_read_by_their_keys(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    keys = {(run.run_id, 1), (run.run_id, 2)}
    assert await store.read(lambda db: replies(db, keys)) == {(run.run_id, 1): STEP.output}
    assert await store.read(lambda db: bodies(db, {DEFINITION, "none"})) == {
        DEFINITION: '{"definition": {"name": "alice"}}'
    }


async def test_times_that_cannot_be_read_leave_out_only_their_rows(store: Store) -> None:
    run = await owned(store)
    await store.write(run.run_id, lambda db: write_step(db, run, STEP))
    await claimed(store, replace(request("t2"), root_id="t1", parent_id="t1"))
    await store.write("", lambda db: db.execute(update(steps).values(seconds=1e300)))
    first, _ = by_task((await read(store)).lines)
    assert [it.seconds for it in first.steps] == [None]
    broken = update(runs).where(runs.c.task_id == "t1").values(claimed_at=-1e300)
    await store.write("", lambda db: db.execute(broken))
    assert [it.row.task_id for it in (await read(store)).lines] == ["t2"]
