"""The store's journal beyond the contract, which is in `test_journal.py`."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import select

from services.agent.loop.journal import StepKey
from services.agent.runs.store_journal import NAME_CHARS, StoredJournal
from shared.contract.messages import Usage
from shared.errors import RunLost
from shared.store import Store
from shared.store.runs.steps import steps_of
from shared.store.runs.takeover import hand_over
from shared.store.runs.tool_starts import doubtful
from shared.store.schema import steps
from tests.support.stores.steps import owned, request, taken


@pytest.fixture
async def journal(store: Store) -> StoredJournal:
    return StoredJournal(store, await owned(store))


async def test_a_fence_checked_a_moment_ago_is_not_checked_again(
    store: Store,
) -> None:
    run = await owned(store)
    await taken(store, "alice.2", {"alice.1"})
    await StoredJournal(store, run).begin(StepKey(1, 0))
    with pytest.raises(RunLost):
        await StoredJournal(store, run, fence_check_s=0.0).begin(StepKey(1, 0))


async def test_a_call_that_is_cancelled_before_it_begins_is_not_in_doubt(
    store: Store, journal: StoredJournal
) -> None:
    starting = asyncio.create_task(journal.start(StepKey(1, 1), "pay", "{}"))
    await asyncio.sleep(0)  # its commit is under way
    assert not journal.settled.is_set()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert journal.settled.is_set()
    assert journal.call_in_doubt() is None
    assert await store.read(lambda db: doubtful(db, request().run_id)) == []


async def test_a_call_is_under_way_until_its_result_is_recorded(journal: StoredJournal) -> None:
    await journal.start(StepKey(1, 1), "pay", "{}")
    await journal.start(StepKey(1, 2), "pay", "{}")
    await journal.record(StepKey(1, 1), "tool", "pay", "{}")
    assert not journal.settled.is_set()
    await journal.record(StepKey(1, 2), "tool", "pay", "{}")
    assert journal.settled.is_set()


async def test_a_lost_run_has_nothing_under_way(store: Store, journal: StoredJournal) -> None:
    await taken(store, "alice.2", {"alice.1"})
    with pytest.raises(RunLost):
        await journal.start(StepKey(1, 1), "pay", "{}")
    assert journal.settled.is_set()


async def test_usage_is_the_sum_of_the_finished_steps(journal: StoredJournal) -> None:
    paid = '{"usage": {"model_calls": 1, "input_tokens": 10, "output_tokens": 5}}'
    assert journal.usage() == Usage()
    await journal.record(StepKey(1, 0), "model", "m", paid)
    await journal.record(StepKey(1, 1), "tool", "lookup", '{"content": "found"}')
    await journal.record(StepKey(1, 2), "worker", "bob", paid)
    assert journal.usage() == Usage(model_calls=2, input_tokens=20, output_tokens=10)


async def test_a_name_longer_than_the_store_keeps_is_recognised(journal: StoredJournal) -> None:
    name = "m" * (NAME_CHARS + 1)
    await journal.record(StepKey(1, 0), "model", name, "{}")
    assert journal.recorded(StepKey(1, 0), "model", name) == "{}"


async def test_a_step_that_has_finished_is_kept_when_its_run_is_handed_over_meanwhile(
    store: Store,
) -> None:
    run, go_on = await owned(store), threading.Event()
    busy = asyncio.create_task(store.write("", lambda _: go_on.wait(10)))
    recording = asyncio.create_task(
        StoredJournal(store, run).record(StepKey(1, 0), "model", "turn", "{}")
    )
    await asyncio.sleep(0)  # a job that has not begun records nothing
    recording.cancel()
    handing = asyncio.create_task(store.write(run.run_id, lambda db: hand_over(db, run)))
    go_on.set()
    await asyncio.gather(busy, handing)
    assert recording.cancelled()
    (again,) = await taken(store)
    assert [step.name for step in await store.read(lambda db: steps_of(db, again))] == ["turn"]


async def lengths(store: Store) -> dict[int, float | None]:
    query = select(steps.c.position, steps.c.seconds)
    return {
        row.position: row.seconds for row in await store.read(lambda db: db.execute(query).all())
    }


async def test_a_step_is_as_long_as_its_call(store: Store, journal: StoredJournal) -> None:
    await journal.begin(StepKey(1, 1))
    await journal.start(StepKey(1, 2), "pay", "{}")
    await asyncio.sleep(0.1)  # what is measured is time
    await journal.record(StepKey(1, 1), "tool", "look", "{}")
    await journal.record(StepKey(1, 2), "tool", "pay", "{}")
    await journal.record(StepKey(1, 3), "tool", "never begun here", "{}")
    found = await lengths(store)
    assert found[3] is None
    assert all(0.1 <= (found[it] or 0) < 5 for it in (1, 2))


async def test_a_delay_before_the_model_is_called_is_no_part_of_its_step(
    store: Store, journal: StoredJournal
) -> None:
    await journal.begin(StepKey(1, 0))
    await asyncio.sleep(0.3)
    await journal.begin_again()
    await journal.record(StepKey(1, 0), "model", "turn", "{}")
    assert (await lengths(store))[0] is not None
    assert ((await lengths(store))[0] or 0) < 0.3
