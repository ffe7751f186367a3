from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import update

from shared.contract.messages import run_id
from shared.store import Store
from shared.store.messages import sent
from shared.store.queries.progress import (
    RunProgress,
    TreeProgress,
    Wanted,
    end,
    runs_of,
    sent_at,
    tree,
)
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.schema import runs, steps
from tests.support.stores.steps import DONE, ended, owned, taken

RUN = run_id("alice", "t1")


def all_of(found: Sequence[RunProgress]) -> Mapping[str, int]:
    return {it.run_id: 0 for it in found}


async def looked(store: Store, wanted: Wanted = all_of) -> TreeProgress:
    return await store.read(partial(tree, followed=RUN, wanted=wanted))


async def stepped(store: Store, run: Run, turn: int, position: int) -> None:
    step = Step(turn, position, "model", "turn", f'{{"content": "{turn}.{position}"}}')
    await store.write(run.run_id, partial(write_step, run=run, step=step))


def steps_in(found: TreeProgress) -> list[tuple[str, int, int]]:
    return [(it.run_id, it.turn, it.position) for it in found.steps]


async def test_nothing_is_known_of_a_task_that_no_agent_has_claimed(store: Store) -> None:
    assert await looked(store) == TreeProgress()
    assert await store.read(partial(end, run_id=RUN)) == TreeProgress()


async def test_the_tree_has_all_runs_of_the_root_and_the_wanted_steps_in_order(
    store: Store,
) -> None:
    root, other = await owned(store), await owned(store, "t2")
    await store.write(
        "",
        lambda db: db.execute(
            update(runs).where(runs.c.run_id == other.run_id).values(root_id="t1")
        ),
    )
    for turn, position in ((1, 0), (1, 2), (1, 1), (2, 0)):
        await stepped(store, root, turn, position)
    await stepped(store, other, 1, 0)
    found = await looked(store)
    assert {it.run_id: (it.status, it.owner) for it in found.runs} == {
        root.run_id: ("running", "alice.1"),
        other.run_id: ("running", "alice.1"),
    }
    of_root = [it for it in steps_in(found) if it[0] == RUN]
    assert of_root == [(RUN, 1, 0), (RUN, 1, 1), (RUN, 1, 2), (RUN, 2, 0)]
    assert {it.run_id: it.output for it in found.steps if it.position == 0} == {
        root.run_id: '{"content": "2.0"}',
        other.run_id: None,
    }
    assert steps_in(await looked(store, lambda _: {RUN: 2})) == [(RUN, 2, 0)]
    assert found.message
    assert found.response is None


async def test_steps_of_more_runs_than_one_statement_asks_for_are_found(store: Store) -> None:
    root = await owned(store)
    await stepped(store, root, 1, 0)
    many = {f"{number:032x}": 0 for number in range(500)} | {RUN: 0}
    assert steps_in(await looked(store, lambda _: many)) == [(RUN, 1, 0)]


async def test_an_ended_run_has_its_response(store: Store) -> None:
    await ended(store, await owned(store))
    found = await store.read(partial(end, run_id=RUN))
    assert found.response == DONE
    run = found.run(RUN)
    assert run is not None
    assert (run.status, run.owner) == ("ok", None)
    assert await looked(store) == await looked(store, all_of)
    assert (await looked(store)).response == DONE


async def test_a_damaged_row_can_still_be_followed(store: Store) -> None:
    root = await owned(store)
    await stepped(store, root, 1, 0)
    await store.write("", lambda db: db.execute(update(runs).values(claimed_at=1e300)))
    await store.write("", lambda db: db.execute(update(steps).values(finished_at=1e300)))
    found = await looked(store)
    assert steps_in(found) == [(RUN, 1, 0)]
    assert "claimed_at" in found.runs[0].damage
    assert "finished_at" in found.steps[0].damage


async def test_a_takeover_is_seen_by_its_owner(store: Store) -> None:
    await owned(store)
    await taken(store, dead={"alice.1"})
    assert [it.owner for it in (await looked(store)).runs] == ["alice.2"]


async def test_a_sent_message_has_a_time_and_one_that_is_claimed_a_run(store: Store) -> None:
    assert await store.read(partial(sent_at, agent="alice", task_id="t1")) is None
    await store.write("", partial(sent.record, message_id="t1", receiver="alice"))
    assert await store.read(partial(sent_at, agent="alice", task_id="t1"))
    assert await store.read(partial(runs_of, task_id="t1")) == []
    await owned(store)
    assert [it.run_id for it in await store.read(partial(runs_of, task_id="t1"))] == [RUN]
