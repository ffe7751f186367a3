"""The limit of a reply's tokens, and the endpoints' reactions to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.agent.llm.chat import ChatMessage, Request, ToolSpec, User
from services.agent.llm.client import OpenAIModel
from shared.contract.prompts import ToolProtocol
from shared.errors import ModelError
from tests.support.model.endpoint import Answer, Endpoint, completion, fault

HISTORY: list[ChatMessage] = [User(content="Hello")]
TOOL = ToolSpec(name="lookup", description="Finds.", parameters={"type": "object"})


@pytest.fixture
async def model(endpoint: Endpoint) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel("tiny", endpoint.url)
    yield made
    await made.close()


@pytest.mark.parametrize("protocol", ["native", "schema"])
async def test_a_limit_of_tokens_is_sent_under_the_name_that_the_endpoint_reads(
    endpoint: Endpoint, protocol: ToolProtocol
) -> None:
    endpoint.script = [Answer(completion(content='{"action": "answer", "answer": "Hi."}'))]
    model = OpenAIModel("tiny", endpoint.url, tool_protocol=protocol)
    await model.complete(Request(HISTORY, [TOOL], 70))
    await model.close()
    assert endpoint.requests[0]["max_tokens"] == 70


@pytest.mark.parametrize(
    ("refusals", "sent"),
    [
        (["Unsupported parameter: 'max_tokens'"], ["max_tokens", "max_completion_tokens"]),
        (
            ["max_tokens is too large: 70", "max_completion_tokens is too large: 70"],
            ["max_tokens", "max_completion_tokens", None],
        ),
    ],
)
async def test_an_endpoint_that_refuses_the_limit_is_asked_otherwise(
    endpoint: Endpoint, model: OpenAIModel, refusals: list[str], sent: list[str | None]
) -> None:
    answers = [fault(400, message=said) for said in refusals]
    endpoint.script = [*answers, Answer(completion(content="Hi."))]
    assert (await model.complete(Request(HISTORY, most_tokens=70))).content == "Hi."
    limits = [request.keys() - {"model", "messages", "stream"} for request in endpoint.requests]
    assert limits == [{name} if name else set() for name in sent]


async def test_another_refusal_under_a_limit_is_none_of_the_limits(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [fault(400)]
    with pytest.raises(ModelError):
        await model.complete(Request(HISTORY, most_tokens=70))
    assert len(endpoint.requests) == 1


EFFORT = "Function tools with reasoning_effort are not supported for tiny: set it to 'none'"


async def test_an_endpoint_that_refuses_tools_with_reasoning_is_asked_without_from_then_on(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [fault(400, message=EFFORT), *[Answer(completion(content="Hi."))] * 3]
    for tools in ([TOOL], [TOOL], []):
        assert (await model.complete(Request(HISTORY, tools))).content == "Hi."
    efforts = [request.get("reasoning_effort") for request in endpoint.requests]
    assert efforts == [None, "none", "none", None]


async def test_refusals_of_two_fields_are_each_met(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [
        fault(400, message="Unsupported parameter: 'max_tokens'"),
        fault(400, message=EFFORT),
        Answer(completion(content="Hi.")),
    ]
    await model.complete(Request(HISTORY, [TOOL], 70))
    sent = endpoint.requests[-1]
    assert (sent["max_completion_tokens"], sent["reasoning_effort"]) == (70, "none")
    assert "max_tokens" not in sent


async def test_an_effort_that_is_refused_too_is_not_tried_again(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [fault(400, message=EFFORT), fault(400, message="no reasoning_effort here")]
    with pytest.raises(ModelError, match="no reasoning_effort here"):
        await model.complete(Request(HISTORY, [TOOL]))
    assert len(endpoint.requests) == 2


async def test_without_tools_no_effort_is_sent(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [fault(400, message=EFFORT)]
    with pytest.raises(ModelError):
        await model.complete(Request(HISTORY))
    assert len(endpoint.requests) == 1
