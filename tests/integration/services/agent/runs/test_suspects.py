"""A run that its processes die on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from services.agent.runs.admission import Admission
from services.agent.runs.execution import MOST_ATTEMPTS
from shared.broker.connection import connect
from shared.contract import topology
from shared.store import Store
from shared.store.queries.reports import find
from shared.store.runs.takeover import SUSPECTED_AFTER
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.processes.instances import instance, runs_of
from tests.support.stores.steps import owned, taken


@pytest.mark.parametrize("deaths", [MOST_ATTEMPTS - 1, MOST_ATTEMPTS])
async def test_a_run_is_given_up_after_so_many_deaths(
    store: Store, rabbit: Rabbit, deaths: int
) -> None:
    run = await owned(store)
    for death in range(deaths):
        suspected = death + 1 >= SUSPECTED_AFTER
        dead = {f"alice.{death + 1}"}
        (run,) = await taken(store, f"alice.{death + 2}", dead, suspects=suspected)
    async with connect(rabbit.url, "test") as broker, asyncio.TaskGroup() as jobs:
        await broker.declare(topology.system())
        own, admission = replace(instance(store), publisher=broker.publisher), Admission(1)
        slot = admission.try_take()
        assert slot
        runs_of(own, admission, jobs).start(run, slot)
        async with asyncio.timeout(30):
            await admission.idle.wait()
        buried = await broker.depth("dead")
    (row,) = await store.read(lambda db: find(db, run.run_id))
    assert row.status == "failed", "without a model it ends so before the limit too"
    assert buried is not None
    assert buried.messages == (1 if deaths == MOST_ATTEMPTS else 0)
