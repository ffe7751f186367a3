"""Streamed replies of the scripted model, as the OpenAI client puts them together."""

from __future__ import annotations

import openai
import pytest


async def test_a_completion_comes_word_by_word(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "[[reply Hello  there\nAnn ]]"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    words = [it.choices[0].delta.content for it in chunks if it.choices]
    assert words == ["", "Hello", "  there", "\nAnn", None]
    assert [it.choices[0].finish_reason for it in chunks if it.choices][-1] == "stop"
    assert chunks[-1].usage
    assert chunks[-1].choices == []


async def test_usage_comes_only_where_it_is_asked_for(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    assert [it.usage async for it in stream if it.usage] == []


async def test_calls_are_streamed_too(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": '[[call bob {"prompt": "Hi"}]]'}],
        tools=[{"type": "function", "function": {"name": "bob"}}],
        stream=True,
    )
    calls = [call async for it in stream for call in it.choices[0].delta.tool_calls or ()]
    assert [(it.function.name, it.function.arguments) for it in calls if it.function] == [
        ("bob", '{"prompt": "Hi"}')
    ]


@pytest.mark.parametrize("asked", ["[[reply Hello there]]", "[[call bob]]", "[[refuse]]"])
async def test_a_response_is_streamed_in_numbered_events_and_whole_at_the_end(
    client: openai.AsyncOpenAI, asked: str
) -> None:
    stream = await client.responses.create(
        model="gpt-5",
        input=asked,
        tools=[{"type": "function", "name": "bob", "parameters": {}, "strict": False}],
        stream=True,
    )
    events = [event async for event in stream]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    last = events[-1]
    assert last.type == "response.completed"
    deltas = [it.delta for it in events if it.type == "response.output_text.delta"]
    assert "".join(deltas) == last.response.output_text
    done = [it.item for it in events if it.type == "response.output_item.done"]
    assert done == last.response.output
