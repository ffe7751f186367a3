"""The Responses API of the scripted model, as the OpenAI client sees it."""

from __future__ import annotations

import openai
import pytest
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseReasoningItem

TOOL = {"type": "function", "name": "bob", "parameters": {"type": "object"}, "strict": False}


async def respond(client: openai.AsyncOpenAI, said: object, **more: object) -> Response:
    body = {"model": "gpt-5", "instructions": "You are Ann.", "input": said, **more}
    return await client.post("/responses", body=body, cast_to=Response)


async def test_a_text_is_answered(client: openai.AsyncOpenAI) -> None:
    reply = await respond(client, "Hello")
    assert (reply.model, reply.status) == ("scripted", "completed")
    assert reply.output_text == 'I was asked: "Hello".'
    assert reply.usage
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


async def test_calls_come_after_reasoning_and_their_outputs_lead_to_the_answer(
    client: openai.AsyncOpenAI,
) -> None:
    asked = {"type": "message", "role": "user", "content": "Ask Bob [[call bob]]"}
    first = await respond(client, [asked], tools=[TOOL])
    reasoning, call = first.output
    assert isinstance(reasoning, ResponseReasoningItem)
    assert reasoning.encrypted_content
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.name == "bob"
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Dear Sir"}
    items = [asked, reasoning.model_dump(), call.model_dump(), output]
    second = await respond(client, items, tools=[TOOL])
    assert second.output_text == 'I was asked: "Ask Bob". bob returned: "Dear Sir".'


async def test_the_log_shows_the_reasoning_that_came_back(client: openai.AsyncOpenAI) -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed"},
        {"type": "function_call", "call_id": "1", "name": "bob", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "Dear Sir"},
    ]
    await respond(client, items)
    log = await client.get("../requests", cast_to=object)
    assert isinstance(log, dict)
    said = [(it["role"], it["content"]) for it in log["requests"][0]["messages"]]
    assert said[1:] == [
        ("user", "Hello"),
        ("reasoning", "sealed"),
        ("assistant", ""),
        ("tool", "Dear Sir"),
    ]
    assert log["requests"][0]["system"] == "You are Ann."


async def test_no_call_is_made_where_none_is_wanted(client: openai.AsyncOpenAI) -> None:
    reply = await respond(client, "Ask [[call bob]]", tools=[TOOL], tool_choice="none")
    assert reply.output_text == 'I was asked: "Ask".'


async def test_a_limit_cuts_the_reply_off(client: openai.AsyncOpenAI) -> None:
    reply = await respond(client, "[[reply " + "word " * 100 + "]]", max_output_tokens=10)
    assert (reply.status, reply.output_text) == ("incomplete", ("word " * 100)[:40])
    assert reply.incomplete_details
    assert reply.incomplete_details.reason == "max_output_tokens"


async def test_a_refusal_and_an_empty_answer_are_messages(client: openai.AsyncOpenAI) -> None:
    refused = await respond(client, "[[refuse]]")
    assert "refuse" in str(refused.output[0])
    assert (await respond(client, "[[empty]]")).output_text == ""


@pytest.mark.parametrize(
    ("said", "why"), [(None, "input"), ([], "messages: expected a list"), ([{"role": 7}], "input")]
)
async def test_the_error_for_a_bad_request_names_its_field(
    client: openai.AsyncOpenAI, said: object, why: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=why):
        await client.post("/responses", body={"input": said}, cast_to=Response)
