"""Why a run has ended `timeout`: the last known cause, over a real store and a real endpoint."""

from __future__ import annotations

import re

from services.agent.llm.chat import Request
from services.agent.llm.client import OpenAIModel
from services.agent.runs.models.cause import Cause, WatchedModel
from shared.contract.rows import response_of
from shared.errors import ModelUnavailable
from shared.store import Store
from shared.store.queries.texts import run_texts
from tests.support.model.endpoint import Answer, Endpoint, completion, fault
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived


async def test_a_deadline_during_a_model_call_is_named_in_the_response(
    store: Store, endpoint: Endpoint
) -> None:
    own = instance(store)
    endpoint.script = [Answer(completion(content="Late."), delay_s=2.0)]
    run = await begun(own, timeout_s=1)
    assert (await lived(own, endpoint, run)).status == "timeout"
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert response_of(said.response or "").content == (
        "no answer within 1 s: its model had not answered"
    )
    assert re.fullmatch(r"its model had not answered after [\d.]+ s", said.detail or "")


async def test_an_attempt_that_failed_during_the_call_is_noted(endpoint: Endpoint) -> None:
    endpoint.script = [fault(500, message="out of order"), Answer(completion(content="Hello."))]
    model, cause = OpenAIModel("tiny", endpoint.url, longest_backoff_s=0.01), Cause()
    assert (await WatchedModel(model, cause).complete(Request())).content == "Hello."
    await model.close()
    assert cause.describe(paused=False) == (
        "the model's endpoint failed",
        "its model failed once; the last reason: the model's endpoint answered 500: out of order",
    )


def test_failures_are_counted_until_a_step_finishes() -> None:
    cause = Cause(2, "it answered 503")
    assert cause.describe(paused=False) == (
        "its model failed",
        "it was postponed 2 times; the last reason: it answered 503",
    )
    cause.call_failed(ModelUnavailable("it answered 500", public="the endpoint failed"))
    assert cause.describe(paused=False) == (
        "the endpoint failed",
        "it was postponed 2 times, then its model failed once; the last reason: it answered 500",
    )
    cause.step_finished()
    assert cause.describe(paused=False) is None
    assert cause.describe(paused=True) == ("the agent is paused", "the agent is paused")
