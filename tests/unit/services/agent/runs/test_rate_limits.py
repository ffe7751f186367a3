"""Runs whose model has a limit that all processes share."""

from __future__ import annotations

from functools import partial

from sqlalchemy import update

from shared.settings.limits import Limits, ModelLimits
from shared.store import Store
from shared.store.processes.rate_limits import Limited
from shared.store.queries.texts import run_texts
from shared.store.schema import RunState, runs
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.stores.rate_limits import ask, later
from tests.support.stores.steps import counted, taken

ONE: Limits = {"ti*": ModelLimits(requests_per_minute=1)}


async def use_up(store: Store) -> None:
    spend = partial(Limited("ti*", ONE["ti*"]).ask, agent="bob", instance="bob.1", asks=[ask("b")])
    await store.write("", spend)


async def test_a_run_whose_models_limit_is_used_up_is_postponed_and_has_not_failed(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    await use_up(store)
    assert (await lived(own, endpoint, run, limits=ONE)).status == RunState.DUE
    assert endpoint.requests == []
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert said.detail == "waiting for the limit of model ti*: 1 requests per minute"
    assert (await counted(store)).takeable == 0
    await later(store, 60)
    await store.write("", lambda db: db.execute(update(runs).values(due_at=1.0)))
    (again,) = await taken(store, own.id)
    assert again.failures == 0
    endpoint.script = [Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, again, limits=ONE)).status == "ok"
