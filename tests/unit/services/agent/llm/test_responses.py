"""The wire of the Responses API."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue

from services.agent.llm.chat import (
    Assistant,
    Completion,
    Kept,
    Request,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.llm.client import OpenAIModel
from shared.contract.messages import Usage
from shared.definitions.model import ModelChoice
from shared.errors import ModelError, ModelUnavailable
from tests.support.model.endpoint import Answer, Endpoint, fault

TOOL = ToolSpec(name="lookup", description="Finds.", parameters={"type": "object"})
ASKED = Request([System(content="Be brief."), User(content="Hello")], [TOOL])
TEXT: JsonValue = {"type": "output_text", "text": "Hi.", "annotations": []}
MESSAGE: JsonValue = {"type": "message", "id": "msg_1", "role": "assistant", "content": [TEXT]}
REASONING: JsonValue = {"type": "reasoning", "id": "rs_1", "encrypted_content": "secret"}
CALL: JsonValue = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_A",
    "name": "lookup",
    "arguments": '{"order": 1}',
}


@pytest.fixture
async def model(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIModel]:
    monkeypatch.setattr("services.agent.llm.client._backoff_s", lambda _: 0.0)
    choice = ModelChoice(api="responses", reasoning="low", temperature=0.5, extra={"user": "ann"})
    made = OpenAIModel("tiny", endpoint.url, choice=choice)
    yield made
    await made.close()


def reply(*items: JsonValue, **fields: JsonValue) -> Answer:
    return Answer({"status": "completed", "model": "tiny-1", "output": [*items], **fields})


async def test_a_request_stores_nothing_and_asks_for_reasoning_that_can_be_sent_back(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [reply(MESSAGE)]
    schema: JsonValue = {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }
    assert isinstance(schema, dict)
    await model.complete(Request(ASKED.history, ASKED.tools, 70, answer_schema=schema))
    assert endpoint.requests == [
        {
            "model": "tiny",
            "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": "Hello"}],
            "tools": [
                {
                    "type": "function",
                    "name": "lookup",
                    "description": "Finds.",
                    "parameters": {"type": "object"},
                    "strict": False,
                }
            ],
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "stream": False,
            "max_output_tokens": 70,
            "reasoning": {"effort": "low"},
            "temperature": 0.5,
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "answer",
                    "strict": True,
                    "schema": schema,
                }
            },
            "user": "ann",
        }
    ]
    assert endpoint.addresses == ["/v1/responses"]


async def test_a_reply_becomes_a_completion(endpoint: Endpoint, model: OpenAIModel) -> None:
    usage: JsonValue = {
        "input_tokens": 7,
        "output_tokens": 3,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 2},
    }
    endpoint.script = [reply(REASONING, MESSAGE, usage=usage)]
    assert await model.complete(ASKED) == Completion(
        content="Hi.",
        finish_reason="stop",
        model="tiny-1",
        usage=Usage(
            model_calls=1, input_tokens=7, output_tokens=3, cached_tokens=4, reasoning_tokens=2
        ),
    )


async def test_calls_go_back_with_the_reasoning_that_led_to_them(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [reply(REASONING, CALL), reply(MESSAGE)]
    said = await model.complete(ASKED)
    call = ToolCall(id="call_A", name="lookup", arguments='{"order": 1}')
    assert (said.tool_calls, said.finish_reason) == ((call,), "tool_calls")
    ours = call.resendable("c00010001")
    history = [
        *ASKED.history,
        Assistant(content=None, tool_calls=(ours,), kept=said.kept),
        ToolResult(call_id=ours.id, name="lookup", content="found"),
    ]
    await model.complete(Request(history, [TOOL]))
    result = {"type": "function_call_output", "call_id": "call_A", "output": "found"}
    sent = endpoint.requests[1]["input"]
    assert isinstance(sent, list)
    assert sent[1:] == [REASONING, CALL, result]


async def test_another_models_reasoning_is_left_out(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [reply(MESSAGE)]
    call = ToolCall(id="c00010001", name="lookup", arguments="{}")
    kept = Kept(origin="elsewhere tiny", items=(REASONING, CALL))
    history = [
        *ASKED.history,
        Assistant(content="I look.", tool_calls=(call,), kept=kept),
        ToolResult(call_id=call.id, name="lookup", content="found"),
    ]
    await model.complete(Request(history, [TOOL], call_tools=False))
    sent = endpoint.requests[0]["input"]
    assert isinstance(sent, list)
    named = {"call_id": "c00010001", "name": "lookup", "arguments": "{}"}
    assert sent[1:] == [
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", **named},
        {"type": "function_call_output", "call_id": "c00010001", "output": "found"},
    ]
    assert endpoint.requests[0]["tool_choice"] == "none"


@pytest.mark.parametrize(
    "items",
    [
        pytest.param([CALL, CALL], id="the same id twice"),
        pytest.param([{**CALL, "call_id": ""}], id="an empty id"),  # type: ignore[dict-item]
        pytest.param([{**CALL, "call_id": None}], id="no id"),  # type: ignore[dict-item]
    ],
)
async def test_items_whose_calls_cannot_be_told_apart_are_not_kept(
    endpoint: Endpoint, model: OpenAIModel, items: list[JsonValue]
) -> None:
    endpoint.script = [reply(REASONING, *items)]
    said = await model.complete(ASKED)
    assert len(said.tool_calls) == len(items)
    assert said.kept is None


async def test_reasoning_that_the_provider_alone_could_look_up_is_not_kept(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [reply({"type": "reasoning", "id": "rs_1"}, CALL)]
    kept = (await model.complete(ASKED)).kept
    assert kept
    assert kept.items == (CALL,)


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
        ),
        ({"status": None, "usage": None, "model": 7, "incomplete_details": None}, "stop"),
    ],
)
async def test_a_reply_says_how_it_ended(
    endpoint: Endpoint, model: OpenAIModel, fields: dict[str, JsonValue], finish: str
) -> None:
    endpoint.script = [reply(MESSAGE, **fields)]
    said = await model.complete(ASKED)
    assert (said.content, said.finish_reason) == ("Hi.", finish)


async def test_a_refusal_is_read(endpoint: Endpoint, model: OpenAIModel) -> None:
    part: JsonValue = {"type": "refusal", "refusal": "I won't."}
    endpoint.script = [reply({"type": "message", "content": [part]})]
    assert (await model.complete(ASKED)).refusal == "I won't."


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed", "error": {"code": "server_error", "message": "x"}},
        {"status": "failed", "error": None},
        {"status": "in_progress"},
        {"output": None},
    ],
)
async def test_a_reply_without_an_answer_is_retried(
    endpoint: Endpoint, model: OpenAIModel, fields: dict[str, JsonValue]
) -> None:
    endpoint.script = [reply(MESSAGE, **fields), reply(MESSAGE)]
    assert (await model.complete(ASKED)).content == "Hi."


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "failed", "error": {"code": "invalid_prompt", "message": "x"}},
        {"output": "Hi."},
        {"output": ["Hi."]},
    ],
)
async def test_a_reply_in_another_form_is_a_model_error_at_once(
    endpoint: Endpoint, model: OpenAIModel, fields: dict[str, JsonValue]
) -> None:
    endpoint.script = [reply(MESSAGE, **fields)]
    with pytest.raises(ModelError) as caught:
        await model.complete(ASKED)
    assert not isinstance(caught.value, ModelUnavailable)


async def test_an_empty_answer_is_one(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [reply()]
    assert (await model.complete(ASKED)).text == ""


async def test_an_endpoint_without_responses_is_asked_for_chat_completions_from_then_on(
    endpoint: Endpoint,
) -> None:
    model = OpenAIModel("tiny", endpoint.url, choice=ModelChoice(profile="openai"))
    said: JsonValue = {"choices": [{"message": {"content": "Hi."}, "finish_reason": "stop"}]}
    endpoint.script = [fault(404, message="Not Found"), Answer(said), Answer(said)]
    for _ in range(2):
        assert (await model.complete(ASKED)).content == "Hi."
    await model.close()
    assert endpoint.addresses == ["/v1/responses", *["/v1/chat/completions"] * 2]
