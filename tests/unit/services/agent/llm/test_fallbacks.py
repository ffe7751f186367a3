"""What is sent after a refusal, and that it is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import JsonValue

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Kept,
    Request,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.llm.client import OpenAIModel
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice
from shared.errors import ModelError
from tests.support.model.endpoint import Answer, Endpoint, completion, fault

TOOL = ToolSpec(name="lookup", description="Finds.", parameters={"type": "object"})
CALL = ToolCall(id="c00010001", name="lookup", arguments="{}")
HI = Answer(completion(content="Hi."))


def asked(endpoint: Endpoint) -> Request:
    """A request with everything that an endpoint may refuse."""
    origin = f"{endpoint.url.removeprefix('http://')} tiny"
    kept = Kept(origin=origin, message={"reasoning_content": "Hm."}, calls=({"extra_content": {}},))
    history: list[ChatMessage] = [
        System(content="Be brief."),
        User(content="Hello"),
        Assistant(content=None, tool_calls=(CALL,), kept=kept),
        ToolResult(call_id=CALL.id, name="lookup", content="found"),
        User(content="Go on."),
    ]
    return Request(history, [TOOL], most_tokens=70)


def message(body: JsonObject, at: int) -> JsonObject:
    messages = body["messages"]
    assert isinstance(messages, list)
    found = messages[at]
    assert isinstance(found, dict)
    return found


REFUSALS: dict[str, tuple[str, Callable[[JsonObject], object], list[object]]] = {
    "an effort with tools": (
        "Function tools with reasoning_effort are not supported. Set reasoning_effort to 'none'.",
        lambda body: body.get("reasoning_effort"),
        ["low", "none"],
    ),
    "an effort": (
        "This model does not support reasoning",
        lambda body: body.get("reasoning_effort"),
        ["low", None],
    ),
    "a limit by its old name": (
        "Unsupported parameter: 'max_tokens'",
        lambda body: [key for key in body if key.startswith("max_")],
        [["max_tokens"], ["max_completion_tokens"]],
    ),
    "a temperature": (
        "'temperature' does not support 0.5 with this model",
        lambda body: body.get("temperature"),
        [0.5, None],
    ),
    "a stream that is off": (
        "property 'stream' is unsupported",
        lambda body: body.get("stream"),
        [False, None],
    ),
    "a content that is null": (
        "invalid message content type: <nil>",
        lambda body: message(body, 2)["content"],
        [None, ""],
    ),
    "a system text": (
        "'messages[0].role' does not support 'system' with this model",
        lambda body: message(body, 0)["content"],
        ["Be brief.", "Be brief.\n\nHello"],
    ),
    "a field that was kept": (
        "property 'reasoning_content' is unsupported",
        lambda body: message(body, 2).get("reasoning_content"),
        ["Hm.", None],
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
async def test_an_endpoint_that_refuses_a_field_is_asked_otherwise_from_then_on(
    endpoint: Endpoint, what: str
) -> None:
    refusal, field, values = REFUSALS[what]
    model = OpenAIModel("tiny", endpoint.url, choice=ModelChoice(reasoning="low", temperature=0.5))
    endpoint.script = [fault(400, message=refusal), HI, HI]
    for _ in range(2):
        assert (await model.complete(asked(endpoint))).content == "Hi."
    await model.close()
    first, second, third = endpoint.requests
    assert [field(first), field(second)] == values
    assert third == second


async def test_a_conclusion_comes_with_the_tools_of_its_history_where_they_are_wanted(
    endpoint: Endpoint,
) -> None:
    model = OpenAIModel("tiny", endpoint.url)
    wanted = "The toolConfig field must be defined when using toolUse and toolResult content."
    no_choice = "This model doesn't support the tool_choice field."
    endpoint.script = [fault(400, message=wanted), fault(400, message=no_choice), HI, HI]
    request = replace(asked(endpoint), call_tools=False)
    for _ in range(2):
        assert (await model.complete(request)).content == "Hi."
    await model.close()
    sent = [("tools" in it, it.get("tool_choice")) for it in endpoint.requests]
    assert sent == [(False, None), (True, "none"), (True, None), (True, None)]


async def test_a_model_of_the_other_wire_is_asked_by_it(endpoint: Endpoint) -> None:
    model = OpenAIModel("tiny", endpoint.url)
    item: JsonValue = {"type": "message", "content": [{"type": "output_text", "text": "Hi."}]}
    only = "This model is only supported in v1/responses and not in v1/chat/completions."
    endpoint.script = [fault(404, message=only), Answer({"output": [item]})]
    assert (await model.complete(asked(endpoint))).content == "Hi."
    await model.close()
    assert endpoint.addresses == ["/v1/chat/completions", "/v1/responses"]


async def test_no_request_is_sent_twice(endpoint: Endpoint) -> None:
    model = OpenAIModel("tiny", endpoint.url)
    endpoint.script = [fault(400, message="max_tokens and tools and content")] * 10
    with pytest.raises(ModelError):
        await model.complete(asked(endpoint))
    await model.close()
    assert 1 < len(endpoint.requests) < 8
    assert all(it not in endpoint.requests[:at] for at, it in enumerate(endpoint.requests))


async def test_a_change_that_did_not_help_is_not_remembered(endpoint: Endpoint) -> None:
    model = OpenAIModel("tiny", endpoint.url)
    no = fault(400, message="Unsupported parameter: 'stream'")
    endpoint.script = [no, fault(400, message="no"), HI]
    with pytest.raises(ModelError):
        await model.complete(asked(endpoint))
    await model.complete(asked(endpoint))
    await model.close()
    assert ["stream" in it for it in endpoint.requests] == [True, False, True]


async def test_a_filtered_request_is_not_asked_again(endpoint: Endpoint) -> None:
    model = OpenAIModel("tiny", endpoint.url)
    endpoint.script = [fault(400, "content_filter", "content was filtered")]
    assert (await model.complete(asked(endpoint))).finish_reason == "content_filter"
    await model.close()
