"""A run whose model is away, over a real store and a real endpoint."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from services.agent.instance import Instance
from services.agent.runs.postponement import (
    LONGEST_ASKED_S,
    LONGEST_BACKOFF_S,
    MOST_FAILURES,
    backoff_s,
)
from shared.store import Store
from shared.store.queries.texts import run_texts
from shared.store.runs.run import Run
from shared.store.schema import RunState, runs
from tests.support.model.endpoint import Answer, Endpoint, completion, fault
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.stores.steps import taken

AWAY = fault(503, retry_after="100")
"""Longer than one call waits."""


async def retaken(store: Store, run: Run, failures: int | None = None) -> Run:
    """The run when its time has come."""
    fields = {"due_at": 0} | ({} if failures is None else {"failures": failures})
    await store.write(
        "", lambda db: db.execute(update(runs).where(runs.c.run_id == run.run_id).values(fields))
    )
    (again,) = await taken(store)
    return again


def counted(own: Instance, registry: CollectorRegistry) -> dict[str, float | None]:
    return {
        "put off": registry.get_sample_value("hutch_runs_put_off_total"),
        "failed": registry.get_sample_value(
            "hutch_model_failures_total", {"reason": "unavailable"}
        ),
    }


async def test_a_run_is_postponed_and_continues_when_its_model_is_back(
    store: Store, endpoint: Endpoint
) -> None:
    own = instance(store)
    run = await begun(own)
    endpoint.script = [AWAY, Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, run)).status == RunState.DUE
    assert await taken(store) == [], "not before its time"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "503" in (said.detail or "")
    again = await retaken(store, run)
    assert (again.failures, again.attempts) == (1, 0)
    assert (await lived(own, endpoint, again)).status == "ok"
    assert len(endpoint.requests) == 2


async def test_it_is_counted(store: Store, endpoint: Endpoint) -> None:
    own, registry = instance(store), CollectorRegistry()
    own = Instance(own.id, own.snapshot, store, own.publisher, type(own.metrics)(registry))
    endpoint.script = [AWAY]
    await lived(own, endpoint, await begun(own))
    assert counted(own, registry) == {"put off": 1, "failed": 1}


async def test_a_failure_that_no_wait_overcomes_ends_the_run_at_once(
    store: Store, endpoint: Endpoint
) -> None:
    own = instance(store)
    endpoint.script = [fault(401)]
    assert (await lived(own, endpoint, await begun(own))).status == "failed"


async def test_a_run_that_is_postponed_to_its_deadline_ends_there(
    store: Store, endpoint: Endpoint
) -> None:
    own = instance(store)
    run = await begun(own, timeout_s=1)
    endpoint.script = [AWAY]
    assert (await lived(own, endpoint, run)).status == RunState.DUE
    async with asyncio.timeout(10):
        while not (again := await taken(store)):  # noqa: ASYNC110 - the store sets no event
            await asyncio.sleep(0.05)
    assert (await lived(own, endpoint, again[0])).status == "timeout"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "no answer within 1 s: its model failed" in (said.response or "")
    assert (said.detail or "").startswith("it was postponed once; the last reason: the model")
    assert "answered 503" in (said.detail or "")
    assert len(endpoint.requests) == 1


async def test_a_step_that_finishes_between_allows_as_many_postponements_again(
    store: Store, endpoint: Endpoint
) -> None:
    own = instance(store)
    again = await retaken_after_one(own, endpoint, failures=MOST_FAILURES)
    endpoint.script += [Answer(completion(content=None)), AWAY]
    assert (await lived(own, endpoint, again)).status == RunState.DUE
    assert (await retaken(store, again)).failures == 1


async def retaken_after_one(own: Instance, endpoint: Endpoint, failures: int) -> Run:
    """A run that was postponed as often before."""
    run = await begun(own)
    endpoint.script = [AWAY]
    await lived(own, endpoint, run)
    return await retaken(own.store, run, failures)


@pytest.mark.parametrize(
    ("failures", "asked_s", "least", "most"),
    [
        (1, None, 2.5, 5),
        (2, None, 5, 10),
        (3, 1.0, 10, 20),
        (30, None, LONGEST_BACKOFF_S / 2, LONGEST_BACKOFF_S),
        (1, 120.0, 120, 150),
        (1, 1e9, LONGEST_ASKED_S, LONGEST_ASKED_S * 1.25),
    ],
)
def test_waits_double_and_respect_the_endpoints_retry_after(
    failures: int, asked_s: float | None, least: float, most: float
) -> None:
    assert all(least <= backoff_s(failures, asked_s) <= most for _ in range(100))
