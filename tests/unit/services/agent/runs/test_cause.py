"""Why a run has ended `timeout`: the last known cause, over a real store and a real endpoint."""

from __future__ import annotations

import pytest

from services.agent.runs.cause import Cause
from shared.contract.rows import response_of
from shared.errors import ModelUnavailable
from shared.store import Store
from shared.store.queries.reports import texts
from tests.support.model.endpoint import Answer, Endpoint, completion, fault
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived


@pytest.mark.parametrize(
    ("answer", "cause", "detail"),
    [
        (
            fault(500, message="out of order", retry_after="30"),
            "the model's endpoint failed",
            "its model failed once; the last reason: the model's endpoint said Error code: 500 - "
            "out of order",
        ),
        (
            Answer(completion(content="Late."), delay_s=2.0),
            "its model had not answered",
            "its model had not answered after ",
        ),
    ],
)
async def test_a_deadline_during_a_model_call_names_what_is_known_of_the_call(
    store: Store, endpoint: Endpoint, answer: Answer, cause: str, detail: str
) -> None:
    own = instance(store)
    endpoint.script = [answer]
    run = await begun(own, timeout_s=1)
    assert (await lived(own, endpoint, run)).status == "timeout"
    said = await store.read(lambda db: texts(db, run.run_id))
    assert response_of(said.response or "").content == f"no answer within 1 s: {cause}"
    assert (said.detail or "").startswith(detail)


def test_failures_are_counted_until_a_step_finishes() -> None:
    cause = Cause(2, "Error code: 503")
    assert cause.describe(paused=False) == (
        "its model failed",
        "it was postponed 2 times; the last reason: Error code: 503",
    )
    cause.call_failed(ModelUnavailable("Error code: 500", public="the endpoint failed"))
    assert cause.describe(paused=False) == (
        "the endpoint failed",
        "it was postponed 2 times, then its model failed once; the last reason: Error code: 500",
    )
    cause.step_finished()
    assert cause.describe(paused=False) is None
    assert cause.describe(paused=True) == ("the agent is paused", "the agent is paused")
