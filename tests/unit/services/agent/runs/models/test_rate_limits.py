"""Runs whose model has limits that all processes share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import func, select, text, update

from services.agent.instance import Instance
from services.agent.llm.chat import Completion, Request, User
from services.agent.runs.admission import Admission, Slot
from services.agent.runs.models.pause import Pause
from services.agent.runs.models.rate_limits import LimitedModel, RateLimits, SharedLimit
from services.agent.runs.store_journal import StoredJournal
from shared.contract.priority import Priority
from shared.errors import LimitReached, ModelUnavailable, RunHandedOver, StoreError
from shared.settings.limits import LimitsByModel, ModelLimits
from shared.store import Store
from shared.store.processes import heartbeats
from shared.store.processes.rate_limits import give_back
from shared.store.processes.rate_queue import LeaseRequest
from shared.store.processes.rate_tables import rate_leases
from shared.store.processes.rate_usage import WINDOW_S
from shared.store.queries.stuck import limit_waits
from shared.store.queries.texts import run_texts
from shared.store.runs.run import Run
from shared.store.schema import RunState, runs
from tests.support.model.doubles import ScriptedModel, says
from tests.support.model.endpoint import Answer, Endpoint, completion, fault
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.stores.rate_limits import ask, later
from tests.support.stores.steps import counted, owned, taken

RPM: LimitsByModel = {"ti*": ModelLimits(requests_per_minute=1)}
ONE_CALL: LimitsByModel = {"ti*": ModelLimits(concurrent_calls=1)}
ANY: LimitsByModel = {"ti*": ModelLimits()}
REQUEST = Request([User(content="Hello")])


@asynccontextmanager
async def shared(own: Instance, limits: LimitsByModel) -> AsyncIterator[SharedLimit]:
    """The limits of the model `tiny` in one process; at the end all leases are returned."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as jobs:
        limit = RateLimits(limits, own, jobs).of("tiny")
        assert limit
        yield limit


def model(
    limit: SharedLimit, run: Run, slot: Slot, *replies: Completion, pause: Pause | None = None
) -> LimitedModel:
    own = limit.instance
    return LimitedModel(
        ScriptedModel(*replies),
        limit,
        run,
        Priority.INTERACTIVE,
        slot,
        pause or Pause(own, Admission(1)),
        StoredJournal(own.store, run),
    )


async def held(limit: SharedLimit, asks: Sequence[LeaseRequest]) -> None:
    """Leases that another process holds; it lives."""
    store = limit.instance.store
    await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))
    take = partial(limit.limiter.ask, agent="bob", instance="bob.1", asks=asks)
    assert all(it.wait_s is None for it in (await store.write("", take)).answers)


async def leases_in_use(store: Store) -> int:
    query = select(func.count()).where(rate_leases.c.returned_at.is_(None))
    return await store.read(lambda db: db.execute(query).scalar_one())


async def test_a_run_whose_models_limit_is_used_up_is_postponed_and_has_not_failed(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    async with shared(own, RPM) as limit:
        await held(limit, [ask("b")])
    assert (await lived(own, endpoint, run, limits=RPM)).status == RunState.DUE
    assert endpoint.requests == []
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert said.detail == "waiting for the limit of model ti*: 1 requests per minute"
    (waiting,) = await store.read(limit_waits)
    assert (waiting.model, waiting.limit, waiting.runs) == ("ti*", "1 requests per minute", 1)
    assert ((await counted(store)).takeable, (await counted(store)).delayed) == (0, 0)
    await later(store, WINDOW_S)
    await store.write("", lambda db: db.execute(update(runs).values(due_at=1.0)))
    (again,) = await taken(store, own.id)
    assert again.failures == 0
    endpoint.script = [Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, again, limits=RPM)).status == "ok"
    assert await store.read(limit_waits) == []
    assert await leases_in_use(store) == 1, "the one of the other process"


async def test_a_run_whose_deadline_comes_while_it_waits_for_a_limit_says_so(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    async with shared(own, RPM) as limit:
        await held(limit, [ask("b")])
    await lived(own, endpoint, run, limits=RPM)
    past = update(runs).values(due_at=1.0, deadline_at=runs.c.claimed_at - 1)
    await store.write("", lambda db: db.execute(past))
    (again,) = await taken(store, own.id)
    assert (await lived(own, endpoint, again, limits=RPM)).status == "timeout"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "its model's limit was used up" in (said.response or "")
    assert said.detail == "waiting for the limit of model ti*: 1 requests per minute"


async def test_a_run_whose_turn_is_soon_waits_without_its_slot(store: Store) -> None:
    run, admission = await owned(store), Admission(1)
    slot = admission.try_take()
    assert slot
    async with shared(instance(store), ONE_CALL) as limit:
        await held(limit, [other := ask("b")])
        call = asyncio.create_task(model(limit, run, slot, says("Done.")).complete(REQUEST))
        while admission.computing:  # noqa: ASYNC110 - a slot sets no event
            await asyncio.sleep(0.01)
        assert not call.done()
        assert admission.free == 1
        await store.write("", lambda db: give_back(db, other.lease_id, 1, 10))
        assert (await call).text == "Done."
        assert admission.try_take() is None, "it has its slot again"
    assert await leases_in_use(store) == 0


async def test_a_process_that_ends_while_a_run_waits_here_calls_no_model(store: Store) -> None:
    own, run, admission = instance(store), await owned(store), Admission(1)
    slot, pause = admission.try_take(), Pause(own, admission, ending=True)
    assert slot
    async with shared(own, ONE_CALL) as limit:
        await held(limit, [ask("b")])
        with pytest.raises(RunHandedOver):
            await model(limit, run, slot, pause=pause).complete(REQUEST)


async def test_a_suspect_keeps_its_slot_to_itself_and_is_postponed(store: Store) -> None:
    run, slot = replace(await owned(store), attempts=2), Admission(1).try_take()
    assert slot
    async with shared(instance(store), ONE_CALL) as limit:
        await held(limit, [ask("b")])
        with pytest.raises(LimitReached, match="1 concurrent calls"):
            await model(limit, run, slot).complete(REQUEST)


async def test_the_share_of_a_killed_process_comes_back(store: Store) -> None:
    run, slot = await owned(store), Admission(1).try_take()
    assert slot
    async with shared(instance(store), ONE_CALL) as limit:
        await held(limit, [ask("b")])  # its heartbeat stands still from here on
        calling, reply = model(limit, run, slot, says("Done.")), None
        while reply is None:
            with suppress(LimitReached):  # a slow machine sees too few heartbeats at first
                reply = await calling.complete(REQUEST)
        assert reply.text == "Done."


async def test_a_lease_that_is_granted_to_a_cancelled_run_is_returned(store: Store) -> None:
    async with shared(instance(store), ONE_CALL) as limit:
        call = asyncio.create_task(limit.ask(ask("r1")))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert await leases_in_use(store) == 0


async def test_a_question_that_the_store_refuses_fails_alone(store: Store) -> None:
    refuse = "CREATE TRIGGER no BEFORE INSERT ON rate_leases BEGIN SELECT RAISE(ABORT, 'no'); END"
    async with shared(instance(store), ONE_CALL) as limit:
        await store.write("", lambda db: db.execute(text(refuse)))
        with pytest.raises(StoreError):
            await limit.ask(ask("r1"))
        await store.write("", lambda db: db.execute(text("DROP TRIGGER no")))
        assert (await limit.ask(ask("r2"))).wait_s is None


async def test_runs_that_ask_at_the_same_time_share_one_commit_and_the_limit(
    store: Store,
) -> None:
    async with shared(instance(store), {"tiny": ModelLimits(concurrent_calls=3)}) as limit:
        found = await asyncio.gather(*(limit.ask(ask(f"r{n}")) for n in range(5)))
    assert [it.wait_s is None for it in found] == [True] * 3 + [False] * 2


async def test_after_a_429_every_process_holds_back_and_the_call_is_not_repeated_here(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    endpoint.script = [fault(429, "rate_limit_exceeded", retry_after="40")] * 9
    assert (await lived(own, endpoint, run, limits=ANY)).status == RunState.DUE
    assert len(endpoint.requests) == 1
    async with shared(instance(store), ANY) as other:
        found = await other.ask(ask("r2"))
    assert found.reason == "its endpoint asks to wait"
    assert 20 < (found.wait_s or 0) <= 40


async def test_an_endpoint_that_says_that_nothing_is_left_is_left_alone(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m10s"}
    endpoint.script = [Answer(completion(content="Done."), headers=headers)]
    assert (await lived(own, endpoint, run, limits=ANY)).status == "ok"
    async with shared(own, ANY) as other:
        assert 50 < ((await other.ask(ask("r2"))).wait_s or 0) <= 70


async def test_a_call_is_corrected_to_the_requests_and_tokens_that_it_took(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    endpoint.script = [fault(503), Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, run, limits=ANY)).status == "ok"
    query = select(rate_leases.c.requests, rate_leases.c.tokens)
    assert await store.read(lambda db: db.execute(query).one()) == (2, 10)


async def test_a_model_without_limits_is_called_without_a_lease(
    store: Store, endpoint: Endpoint
) -> None:
    run = await begun(own := instance(store))
    endpoint.script = [Answer(completion(content="Done."))]
    assert (await lived(own, endpoint, run, limits={"gpt*": ModelLimits()})).status == "ok"
    number = select(func.count()).select_from(rate_leases)
    assert await store.read(lambda db: db.execute(number).scalar_one()) == 0


async def test_a_call_that_fails_returns_its_lease(store: Store) -> None:
    run, slot = await owned(store), Admission(1).try_take()
    assert slot
    async with shared(instance(store), ONE_CALL) as limit:
        failing = model(limit, run, slot)
        failing.model = ScriptedModel(ModelUnavailable("away", reason="unavailable"))
        with pytest.raises(ModelUnavailable):
            await failing.complete(REQUEST)
    assert await leases_in_use(store) == 0
