from __future__ import annotations

from functools import partial

import pytest

from shared.errors import RunLost
from shared.store import Store
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, write_step
from shared.store.runs.tool_starts import Start, doubtful, drop_start, write_start
from tests.support.stores.steps import owned, taken

PAY = Start(1, 2, "pay", '{"order": "größe ✓"}')
MAIL = Start(1, 1, "mail", "{}")


async def started(store: Store, run: Run, *starts: Start) -> None:
    for start in starts:
        await store.write(run.run_id, partial(write_start, run=run, start=start))


async def doubts(store: Store, run: Run) -> list[Start]:
    return await store.read(lambda db: doubtful(db, run.run_id))


async def test_calls_without_a_result_are_in_doubt_in_their_order(store: Store) -> None:
    run = await owned(store)
    await started(store, run, PAY, MAIL, PAY)
    assert await doubts(store, run) == [MAIL, PAY]
    assert await doubts(store, await owned(store, "t2")) == []


async def test_a_result_ends_the_doubt(store: Store) -> None:
    run = await owned(store)
    await started(store, run, PAY, MAIL)
    done = Step(PAY.turn, PAY.position, "tool", PAY.name, '{"content": "paid"}')
    await store.write(run.run_id, partial(write_step, run=run, step=done))
    assert await doubts(store, run) == [MAIL]


async def test_a_call_that_was_never_made_leaves_no_doubt(store: Store) -> None:
    run = await owned(store)
    await started(store, run, PAY, MAIL)
    await store.write(run.run_id, partial(drop_start, run=run, start=PAY))
    assert await doubts(store, run) == [MAIL]


async def test_a_zombie_starts_nothing_and_takes_no_start_back(store: Store) -> None:
    zombie = await owned(store)
    await started(store, zombie, MAIL)
    (run,) = await taken(store, "alice.2", {"alice.1"})
    for late in (partial(write_start, start=PAY), partial(drop_start, start=MAIL)):
        with pytest.raises(RunLost):
            await store.write(run.run_id, partial(late, run=zombie))
    assert await doubts(store, run) == [MAIL]
