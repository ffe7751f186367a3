from __future__ import annotations

import asyncio

import pytest

from services.agent.llm.registry import ModelRegistry
from services.agent.runs.admission import Admission
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries.reports import Row, RunFilter, newest
from tests.support.processes.instances import instance, runs_of
from tests.support.processes.living import begun
from tests.support.stores.steps import taken


@pytest.mark.parametrize("late", [False, True], ids=["open before", "claimed meanwhile"])
async def test_every_run_is_handed_over_at_the_end(store: Store, late: bool) -> None:
    own, admission = instance(store), Admission(1)
    nowhere = Settings(OPENAI_BASE_URL="http://127.0.0.1:1/v1", OPENAI_MODEL="none")
    async with asyncio.TaskGroup() as jobs:
        runs = runs_of(own, admission, jobs, ModelRegistry(nowhere, own.metrics.model_failed))
        slot = admission.try_take()
        assert slot
        runs.execution.parts.pause.set(True)  # so that it doesn't end meanwhile
        run = await begun(own)
        if late:
            await runs.hand_over()
        runs.start(run, slot)
        await runs.hand_over()
    assert admission.idle.is_set()
    assert [(run.task_id, run.attempts) for run in await taken(store)] == [("t1", 0)]


async def test_a_run_that_comes_to_a_call_when_its_process_ends_is_handed_over(
    store: Store,
) -> None:
    own, admission = instance(store), Admission(1)
    nowhere = Settings(OPENAI_BASE_URL="http://127.0.0.1:1/v1", OPENAI_MODEL="none")
    async with asyncio.TaskGroup() as jobs:
        runs = runs_of(own, admission, jobs, ModelRegistry(nowhere, own.metrics.model_failed))
        runs.execution.parts.pause.ending = True
        slot = admission.try_take()
        assert slot
        runs.start(await begun(own), slot)
        async with asyncio.timeout(30):
            await admission.idle.wait()
    assert [(run.task_id, run.attempts) for run in await taken(store)] == [("t1", 0)]


async def test_a_job_that_is_cancelled_before_its_first_step_gives_its_slot_back(
    store: Store,
) -> None:
    own, admission = instance(store), Admission(2)
    async with asyncio.TaskGroup() as jobs:
        runs = runs_of(own, admission, jobs)
        first, again = admission.try_take(), admission.try_take()
        assert first
        assert again
        run = await begun(own)
        runs.start(run, first)
        runs.start(run, again)  # taken back from ourselves: the first job never begins
        assert (admission.taken, runs.open) == (2, 2)
        async with asyncio.timeout(30):
            await admission.idle.wait()
        assert (admission.taken, runs.open, runs.held) == (0, 0, ())
    assert (await find_one(store)).status == "failed", "without a model"


async def find_one(store: Store) -> Row:
    (row,) = await store.read(lambda db: newest(db, RunFilter(agent="alice"), 10))
    return row
