"""Runs that are lived in a process without a broker, over a real store and a real endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from services.agent.instance import Instance
from services.agent.llm.registry import ModelRegistry
from services.agent.runs.admission import Admission
from shared.contract.messages import Task, encode
from shared.definitions.functions import Tool
from shared.prices import PriceList
from shared.settings.environment import Settings
from shared.settings.limits import Limits
from shared.store.queries.reports import Row, find
from shared.store.runs.claim import Request, claim, freeze
from shared.store.runs.run import Run
from tests.support.model.endpoint import Endpoint
from tests.support.processes.instances import runs_of
from tests.support.stores.steps import request

TASK = Task(id="t1", content="Do it.")


def asked(own: Instance, timeout_s: float = 600) -> Request:
    fields = vars(request("t1", requester=None, timeout_s=timeout_s))
    message = encode(TASK).decode()
    return Request(**fields | {"definition": own.snapshot.digest, "message": message})


async def begun(own: Instance, timeout_s: float = 600, message: str | None = None) -> Run:
    """A claimed run."""
    it, store = asked(own, timeout_s), own.store
    it = it if message is None else replace(it, message=message)
    await store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    run = (await store.write("", lambda db: claim(db, it, own.id, slot=True))).run
    assert run is not None
    return run


async def lived(
    own: Instance,
    endpoint: Endpoint,
    run: Run,
    tools: Sequence[Tool] = (),
    prices: PriceList | None = None,
    limits: Limits | None = None,
) -> Row:
    """One process's part in the life of a run, until its slot is free again."""
    settings = Settings(_env_file=None, OPENAI_BASE_URL=endpoint.url, OPENAI_MODEL="tiny")
    models, admission = ModelRegistry(settings, own.metrics.model_failed), Admission(1)
    slot = admission.try_take()
    assert slot
    async with asyncio.timeout(30), asyncio.TaskGroup() as jobs:
        runs_of(own, admission, jobs, models, tools, prices, limits=limits).start(run, slot)
        await admission.idle.wait()
    await models.close()
    (row,) = await own.store.read(lambda db: find(db, run.run_id))
    return row
