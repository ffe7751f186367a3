"""The endpoint over real HTTP, mostly as the OpenAI client sees it."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

import openai
import pytest
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion_message_function_tool_call import (
    ChatCompletionMessageFunctionToolCall as FunctionCall,
)

TOOL = {"type": "function", "function": {"name": "bob", "parameters": {"type": "object"}}}


async def ask(client: openai.AsyncOpenAI, text: str, **more: object) -> ChatCompletion:
    said = [{"role": "system", "content": "You are Ann."}, {"role": "user", "content": text}]
    body = {"model": "gpt-5", "messages": said, **more}
    return await client.post("/chat/completions", body=body, cast_to=ChatCompletion)


async def test_every_completion_is_marked_as_scripted(client: openai.AsyncOpenAI) -> None:
    reply = await ask(client, "Hello")
    assert reply.model == "scripted"
    assert reply.choices[0].message.content == 'I was asked: "Hello".'
    assert reply.usage is not None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert [model.id async for model in client.models.list()] == ["scripted"]


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_cuts_the_reply_off(client: openai.AsyncOpenAI, field: str) -> None:
    reply = await ask(client, "[[reply " + "word " * 100 + "]]", **{field: 10})
    assert reply.choices[0].finish_reason == "length"
    assert reply.choices[0].message.content == ("word " * 100)[:40]
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 10


async def test_the_same_request_gets_the_same_ids(client: openai.AsyncOpenAI) -> None:
    first, second = [await ask(client, "Hello", tools=[TOOL]) for _ in range(2)]
    assert first.id == second.id
    assert first.choices == second.choices


async def test_calls_are_made_as_ordered(client: openai.AsyncOpenAI) -> None:
    reply = await ask(client, '[[call bob {"prompt": "Hi"}]] [[call eve]]', tools=[TOOL])
    calls = reply.choices[0].message.tool_calls or []
    names = [
        (it.function.name, it.function.arguments) for it in calls if isinstance(it, FunctionCall)
    ]
    assert names == [("bob", '{"prompt": "Hi"}'), ("eve", "{}")]
    assert len({call.id for call in calls}) == 2
    assert reply.choices[0].finish_reason == "tool_calls"


async def test_malformed_arguments_are_no_json(client: openai.AsyncOpenAI) -> None:
    reply = await ask(client, "Hello [[malformed]]", tools=[TOOL])
    (call,) = reply.choices[0].message.tool_calls or []
    assert isinstance(call, FunctionCall)
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(call.function.arguments)


async def test_a_reply_may_be_cut_off_refused_or_empty(client: openai.AsyncOpenAI) -> None:
    assert (await ask(client, "[[length]]")).choices[0].finish_reason == "length"
    assert (await ask(client, "[[refuse]]")).choices[0].message.refusal
    assert (await ask(client, "[[empty]]")).choices[0].message.content == ""


async def test_the_first_tries_of_one_request_fail_and_no_other(client: openai.AsyncOpenAI) -> None:
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as failed:
            await ask(client, "Hello [[fail 503 2]]")
        assert failed.value.status_code == 503
    assert (await ask(client, "Hello [[fail 503 2]]")).model == "scripted"
    with pytest.raises(openai.RateLimitError) as limited:
        await ask(client, "Other [[fail 429 1 retry-after 3]]")
    assert limited.value.response.headers["retry-after"] == "3"


async def test_latency_is_waited_for_by_each_request_alone(client: openai.AsyncOpenAI) -> None:
    before = monotonic()
    await asyncio.gather(*(ask(client, f"{n} [[latency 0.3]]") for n in range(5)))
    assert 0.3 <= monotonic() - before < 1.2


async def test_a_dropped_connection_is_a_connection_error(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        await ask(client, "Hello [[drop]]")


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        ("Hello", {"messages": []}, "messages: expected a list of 1 or more"),
        ("[[latency soon]]", {}, "write seconds"),
    ],
)
async def test_the_error_for_a_bad_request_names_its_reason(
    client: openai.AsyncOpenAI, text: str, more: dict[str, object], said: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=said):
        await ask(client, text, **more)


async def test_the_log_lists_each_agents_requests_until_it_is_emptied(
    client: openai.AsyncOpenAI,
) -> None:
    await ask(client, "Hello", tools=[TOOL])
    with pytest.raises(openai.APIStatusError):
        await ask(client, "Hello [[fail 500 1]]")
    log = await client.get("../requests", cast_to=object)
    assert isinstance(log, dict)
    first, second = log["requests"]
    assert (log["count"], first["status"], second["status"]) == (2, 200, 500)
    assert (first["system"], first["tools"]) == ("You are Ann.", ["bob"])
    assert first["messages"][1] == {"role": "user", "content": "Hello"}
    await client.delete("../requests", cast_to=object)
    assert await client.get("../requests", cast_to=object) == {"count": 0, "requests": []}


async def test_a_request_that_was_cut_off_is_not_recorded(
    client: openai.AsyncOpenAI,
) -> None:
    url = client.base_url
    _, writer = await asyncio.open_connection(url.host, url.port)
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: model\r\ncontent-length: 9\r\n\r\n{"
    writer.write(head.encode())
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await client.get("../requests", cast_to=object) == {"count": 0, "requests": []}
