"""A run that meets a fault, beside others: it fails alone, and its message is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from services.agent.instance import Instance
from services.agent.llm.registry import ModelRegistry
from services.agent.runs.admission import Admission
from services.agent.runs.ending import FAULT
from services.agent.runs.postponement import MOST_FAILURES
from shared.broker.connection import connect
from shared.contract import topology
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries.reports import Row, RunFilter, newest
from shared.store.queries.texts import run_texts
from shared.store.runs.claim import freeze
from shared.store.runs.run import Run
from shared.store.runs.takeover import hand_over
from shared.store.schema import RunState, runs
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.processes.instances import instance, runs_of
from tests.support.stores.steps import claimed, request, taken

NO_TIME = 1e300
"""Of no calendar."""
OLD = "0" * 32
"""The hash of a definition that can't be read."""


async def damaged(own: Instance, failures: int) -> Run:
    """A run, as if its row held a time that can't be read."""
    asked = replace(request("damaged"), definition=own.snapshot.digest)
    run = (await claimed(own.store, asked)).run
    assert run is not None
    await own.store.write("", lambda db: hand_over(db, run))
    fields = update(runs).where(runs.c.run_id == run.run_id).values(failures=failures)
    await own.store.write("", lambda db: db.execute(fields).close())
    (again,) = await taken(own.store, own.id)
    return replace(again, claimed_at=NO_TIME)


async def lived(own: Instance, *started: Run) -> dict[str, Row]:
    """The rows of these runs, once this process has ended all of them."""
    nowhere = Settings(OPENAI_BASE_URL="http://127.0.0.1:1/v1", OPENAI_MODEL="none")
    models, admission = ModelRegistry(nowhere, own.metrics.model_failed), Admission(len(started))
    async with asyncio.timeout(30), asyncio.TaskGroup() as jobs:
        open_runs = runs_of(own, admission, jobs, models)
        for run in started:
            slot = admission.try_take()
            assert slot
            open_runs.start(run, slot)
        await admission.idle.wait()
        open_runs.execution.endings.outbox.stop()
    await models.close()
    return {row.task_id: row for row in await own.store.read(lambda db: newest(db, RunFilter(), 9))}


async def begun(own: Instance, failures: int = 0) -> tuple[Run, Run]:
    """One that meets a fault, and its neighbour."""
    await own.store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    await own.store.write("", lambda db: freeze(db, OLD, "{}"))
    asked = replace(request("other"), definition=OLD)
    run, other = await damaged(own, failures), (await claimed(own.store, asked)).run
    assert other is not None
    return run, other


async def test_an_unexpected_error_fails_only_its_own_run(store: Store, rabbit: Rabbit) -> None:
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(topology.system())
        own = replace(instance(store), publisher=broker.publisher)
        run, other = await begun(own)
        with capture_logs() as lines:
            rows = await lived(own, run, other)
        kept = await broker.depth("dead")
    assert rows["other"].status == rows["damaged"].status == "failed", "the other of an old version"
    (fault,) = [line for line in lines if line["event"] == "fault in a run"]
    assert isinstance(fault["exc_info"], OverflowError), "with its traceback"
    assert kept is not None
    assert kept.messages == 1
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert FAULT in (said.response or "")
    assert "a fault in the run: OverflowError" in (said.detail or "")


@pytest.mark.long  # as long as a publishing waits for a connection
@pytest.mark.parametrize(
    ("failures", "status"),
    [(0, RunState.DUE), (MOST_FAILURES, "failed")],
    ids=["tried again", "left out in the end"],
)
async def test_a_fault_while_the_broker_is_away_has_an_end(
    store: Store, failures: int, status: str
) -> None:
    own = instance(store)
    run, other = await begun(own, failures)
    assert (await lived(own, run, other))["damaged"].status == status
    assert await taken(store) == [], "not at once"
