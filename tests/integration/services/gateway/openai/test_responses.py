"""The Responses API, as the unmodified client `openai` for Python sees it."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.integration.services.gateway.openai.conftest import Door, client_of
from tests.integration.services.gateway.openai.test_chat import TASK, WORDS, statuses
from tests.support.gateway import gateway
from tests.support.processes.fixtures import Asked

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


async def test_a_response_is_the_answer_and_the_next_one_remembers_it(
    client: openai.AsyncOpenAI, asked: Asked
) -> None:
    first = await client.responses.create(
        model="bob",
        input="My name is Ann. [[reply Hello Ann.]]",
        instructions="Be brief.",
        metadata={"order": "7"},
    )
    assert (first.status, first.output_text) == ("completed", "Hello Ann.")
    assert first.metadata == {"order": "7"}
    second = await client.responses.create(
        model="bob", input="Who am I? [[reply Ann.]]", previous_response_id=first.id
    )
    assert second.output_text == "Ann."
    await client.responses.create(
        model="bob", input="[[reply Yes.]]", previous_response_id=second.id
    )
    texts = [str(it["content"]) for it in asked()[-1]["messages"]]
    assert [text for text in texts if text in {"Hello Ann.", "Ann."}] == ["Hello Ann.", "Ann."]
    assert any("Be brief." in text for text in texts)
    with pytest.raises(openai.BadRequestError) as unknown:
        await client.responses.create(model="bob", input="Hi", previous_response_id="resp_x")
    assert unknown.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError, match="of 'bob', not of 'alice'"):
        await client.responses.create(model="alice", input="Hi", previous_response_id=first.id)


async def test_a_streamed_response_has_the_text_in_pieces_and_the_answer_at_the_end(
    client: openai.AsyncOpenAI,
) -> None:
    async with client.responses.stream(model="alice", input=TASK) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    deltas = [it.delta for it in events if it.type == "response.output_text.delta"]
    assert "".join(deltas) == WORDS
    assert len(deltas) > 1
    assert (final.status, final.output_text) == ("completed", WORDS)
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"


@pytest.mark.essential
async def test_a_response_in_the_background_is_followed_at_another_gateway(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    slow = "[[latency 2]][[reply One two three four five six.]]"
    begun = await client.responses.create(model="bob", input=slow, background=True)
    assert begun.status == "queued"
    async with client_of(f"{gateway(door.system)[1]}/v1") as other:
        seen: list[Any] = []
        async for event in await other.responses.retrieve(begun.id, stream=True):
            seen.append(event)
            if event.type == "response.output_text.delta":
                break
        rest = [
            event
            async for event in await client.responses.retrieve(
                begun.id, stream=True, starting_after=seen[-1].sequence_number
            )
        ]
        done = await other.responses.retrieve(begun.id)
    deltas = [it.delta for it in [*seen, *rest] if it.type == "response.output_text.delta"]
    assert "".join(deltas) == done.output_text == "One two three four five six."
    assert done.status == "completed"
    numbers = [it.sequence_number for it in [*seen, *rest]]
    assert numbers == sorted(set(numbers))
    assert statuses(door.system) == [("bob", "ok")]


async def test_a_response_is_cancelled_and_a_failed_one_says_why(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    begun = await client.responses.create(
        model="bob", input="[[latency 30]]Hi", background=True, stream=False
    )
    async for event in await client.responses.retrieve(begun.id, stream=True):
        if event.type == "response.in_progress":
            break
    cancelled = await client.responses.cancel(begun.id)
    assert cancelled.status == "cancelled"
    failing = await client.responses.create(model="bob", input="[[fail 401 9]]", background=True)
    async for event in await client.responses.retrieve(failing.id, stream=True):
        last: Any = event
    assert last.type == "response.failed"
    assert last.response.error.message
    failed = await client.responses.retrieve(failing.id)
    assert (failed.status, failed.error and failed.error.code) == ("failed", "server_error")
    with pytest.raises(openai.UnprocessableEntityError):
        await client.responses.create(model="bob", input="[[fail 401 9]]")
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve("resp_bob_" + "0" * 32)
    assert [status for _, status in statuses(door.system)] == ["cancelled", "failed", "failed"]
