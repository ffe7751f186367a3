"""Chat completions, as the unmodified client `openai` for Python sees them."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from typing import Any

import openai
import pytest

from tests.integration.services.gateway.openai.conftest import Door
from tests.support.processes.agents import calling
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

WORDS = "Bob has answered, and so the whole task is done."
TASK = f"{calling('bob', '[[reply Psst.]]')}[[then]][[reply {WORDS}]]"


def user(text: object) -> Any:
    return [{"role": "user", "content": text}]


def statuses(system: System) -> list[tuple[str, str]]:
    """The agent and the status of each run, oldest first."""
    return stored(system, "SELECT agent, coalesce(status, state) FROM runs ORDER BY claimed_at")


def stored(system: System, query: str) -> list[Any]:
    path = system.env["HUTCH_STORE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as reading:
        return reading.execute(query).fetchall()


async def test_the_agents_are_the_models_and_an_answer_is_that_of_the_agent_and_its_workers(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    assert [it.id async for it in client.models.list()] == ["alice", "bob", "form"]
    alice = await client.models.retrieve("alice")
    assert (alice.id, alice.owned_by) == ("alice", "hutch")
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("carol")
    made = await client.chat.completions.create(model="alice", messages=user(TASK))
    assert made.choices[0].message.content == WORDS
    assert made.choices[0].finish_reason == "stop"
    assert made.usage is not None
    assert made.usage.total_tokens > 0
    assert statuses(door.system) == [("alice", "ok"), ("bob", "ok")]
    message = json.loads(
        stored(door.system, "SELECT message FROM runs WHERE agent = 'alice'")[0][0]
    )
    assert message["sender"] == "gateway"
    assert message["sent_at"], "the timeline shows how long it was queued"
    shown = door.system.hutch("show", made.id)
    assert "alice" in shown.stdout


@pytest.mark.essential
async def test_a_stream_has_the_text_in_pieces_and_the_work_of_workers_as_reasoning(
    client: openai.AsyncOpenAI,
) -> None:
    stream = await client.chat.completions.create(
        model="alice",
        messages=user(TASK),
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"X-Hutch-Progress": "reasoning"},
    )
    chunks = [chunk async for chunk in stream]
    texts = [it.choices[0].delta.content or "" for it in chunks if it.choices]
    assert "".join(texts) == WORDS
    assert len([it for it in texts if it]) > 1
    assert [it.choices[0].finish_reason for it in chunks if it.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    deltas: list[Any] = [it.choices[0].delta for it in chunks if it.choices]
    told = "".join(getattr(it, "reasoning_content", None) or "" for it in deltas)
    assert told.splitlines()[-1] == "bob: ok"
    assert not any(it.tool_calls for it in deltas)


async def test_earlier_messages_reach_the_agent_as_context(
    client: openai.AsyncOpenAI, asked: Asked
) -> None:
    await client.chat.completions.create(
        model="bob",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "My name is Alice."},
            {"role": "assistant", "content": "Hello Alice!"},
            {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]},
        ],
        temperature=0.2,
        user="u1",
        extra_body={"top_k": 3, "unknown": {"nested": True}},
    )
    (request,) = asked()
    last = request["messages"][-1]["content"]
    assert last.startswith("What is my name?\n\nContext:\nInstructions of the client:\nBe brief.")
    assert "user: My name is Alice.\nassistant: Hello Alice!" in last


REFUSED: list[tuple[dict[str, Any], str, int]] = [
    ({"model": "carol"}, "model_not_found", 404),
    ({"n": 2}, "unsupported_value", 400),
    ({"tool_choice": "required"}, "unsupported_value", 400),
    ({"response_format": {"type": "json_object"}}, "unsupported_value", 400),
    ({"messages": []}, "invalid_value", 400),
    ({"messages": user("")}, "missing_input", 400),
    ({"messages": user([{"type": "image_url", "image_url": {}}])}, "unsupported_value", 400),
    ({"messages": user("x" * 1_100_000)}, "context_length_exceeded", 400),
]


async def test_what_no_agent_can_do_is_refused_at_once(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    for fields, code, status in REFUSED:
        given: Any = {"model": "bob", "messages": user("Hi")} | fields
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(**given)
        assert (refused.value.status_code, refused.value.code) == (status, code)
        assert isinstance(refused.value.body, dict)
        assert refused.value.body["message"]
    assert statuses(door.system) == []


async def test_a_run_that_fails_is_an_error_that_no_client_repeats(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as failed:
        await client.chat.completions.create(model="bob", messages=user("[[fail 400 9]]"))
    assert failed.value.code == "run_failed"
    assert failed.value.response.headers["x-should-retry"] == "false"
    stream = await client.chat.completions.create(
        model="bob", messages=user("[[fail 401 9]]"), stream=True
    )
    with pytest.raises(openai.APIError, match=r".+") as broken:
        _ = [chunk async for chunk in stream]
    assert broken.value.code == "run_failed"
    assert statuses(door.system) == [("bob", "failed")] * 2


async def test_a_refusal_and_an_answer_that_was_cut_off_have_their_reasons(
    client: openai.AsyncOpenAI,
) -> None:
    for text, reason in (("[[refuse]]", "content_filter"), ("[[length]]", "length")):
        made = await client.chat.completions.create(model="bob", messages=user(text))
        assert made.choices[0].finish_reason == reason
        assert made.choices[0].message.content


async def test_an_answer_with_a_schema_comes_whole_and_valid(client: openai.AsyncOpenAI) -> None:
    said = user('[[reply {"city":  "Rome"}]]')
    stream = await client.chat.completions.create(
        model="form", messages=said, stream=True, response_format={"type": "json_object"}
    )
    texts = [it.choices[0].delta.content or "" async for it in stream if it.choices]
    assert "".join(texts) == '{"city":"Rome"}'


@pytest.mark.essential
async def test_a_client_that_leaves_does_not_cancel_unless_it_wants_that(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    impatient = client.with_options(timeout=1.5, max_retries=0)
    slow = user("[[latency 4]][[reply Late.]]")
    with pytest.raises(openai.APITimeoutError):
        await impatient.chat.completions.create(model="bob", messages=slow)
    with pytest.raises(openai.APITimeoutError):
        await impatient.chat.completions.create(
            model="bob", messages=slow, extra_headers={"X-Hutch-On-Disconnect": "cancel"}
        )
    stream = await client.chat.completions.create(
        model="alice",
        messages=slow,
        stream=True,
        extra_headers={"X-Hutch-On-Disconnect": "cancel"},
    )
    await anext(aiter(stream))
    await stream.close()
    await asyncio.to_thread(
        until, lambda: {it for _, it in statuses(door.system)} <= {"ok", "cancelled"}
    )
    assert sorted(statuses(door.system)) == [
        ("alice", "cancelled"),
        ("bob", "cancelled"),
        ("bob", "ok"),
    ]


async def test_a_session_remembers_and_the_history_that_the_client_sends_is_left_out(
    client: openai.AsyncOpenAI, asked: Asked
) -> None:
    named = {"X-OpenWebUI-Chat-Id": "7d5d5c0e-chat"}
    history = user("My name is Ann. [[reply Hello Ann.]]")
    await client.chat.completions.create(model="bob", messages=history, extra_headers=named)
    history += [
        {"role": "assistant", "content": "An edited answer."},
        {"role": "user", "content": "Who am I? [[reply You are Ann.]]"},
    ]
    await client.chat.completions.create(model="bob", messages=history, extra_headers=named)
    texts = [str(it["content"]) for it in asked()[-1]["messages"]]
    assert any("Hello Ann." in text for text in texts)
    assert not any("An edited answer." in text for text in texts)


async def test_a_key_is_for_its_agents_only_and_errors_of_access_have_openais_form(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    made = door.system.hutch("keys", "add", "ann", "--scope", "run", "--agent", "alice")
    key = re.search(r"hk_\S+", made.stdout)
    assert key is not None, made
    with pytest.raises(openai.AuthenticationError) as unknown:
        await _until_refused(client)
    assert isinstance(unknown.value.body, dict)
    assert unknown.value.body["type"] == "authentication_error"
    ann = client.with_options(api_key=key[0])
    assert [it.id async for it in ann.models.list()] == ["alice"]
    with pytest.raises(openai.NotFoundError):
        await ann.models.retrieve("bob")
    with pytest.raises(openai.PermissionDeniedError) as refused:
        await ann.chat.completions.create(model="bob", messages=user("Hi"))
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["type"] == "permission_error"
    said = await ann.responses.create(model="alice", input="[[reply Hello.]]")
    assert said.output_text == "Hello."


async def _until_refused(client: openai.AsyncOpenAI) -> None:
    """A gateway knows within seconds that there are keys."""
    for _ in range(100):
        await client.models.list()
        await asyncio.sleep(0.2)
