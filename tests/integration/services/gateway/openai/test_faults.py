"""What a client of OpenAI's API sees when an agent or a gateway dies, or ends, under it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import openai
import pytest

from tests.integration.services.gateway.openai.conftest import Door, client_of
from tests.integration.services.gateway.openai.test_chat import statuses, user
from tests.integration.services.gateway.openai.test_retries import Posts
from tests.support.gateway import gateway
from tests.support.processes.running import Child, until

pytestmark = [
    pytest.mark.essential,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]

WORDS = " ".join(f"word{number}" for number in range(400))


def port(url: str) -> int:
    return int(url.split(":")[2].partition("/")[0])


async def test_after_the_end_of_a_gateway_a_client_gets_the_answer_of_the_same_run_at_another(
    door: Door,
) -> None:
    ending, url = gateway(door.system)
    posts = Posts(port(url), port(door.url))
    http = openai.DefaultAsyncHttpxClient(transport=posts)
    async with openai.AsyncOpenAI(base_url=door.url, api_key="none", http_client=http) as client:
        asking = asyncio.create_task(
            client.chat.completions.create(
                model="bob", messages=user("[[latency 6]][[reply Here it is.]]")
            )
        )
        await asyncio.to_thread(until, lambda: statuses(door.system))
        await asyncio.to_thread(ending.end)
        made = await asking
    assert made.choices[0].message.content == "Here it is."
    assert posts.counts == ["0", "1"]
    assert statuses(door.system) == [("bob", "ok")]


async def test_a_response_that_a_killed_gateway_has_begun_goes_on_at_another(door: Door) -> None:
    dying, url = gateway(door.system)
    seen: list[str] = []
    async with client_of(f"{url}/v1") as first, client_of(door.url) as second:
        stream = await first.responses.create(
            model="bob", input=f"[[reply {WORDS}]]", stream=True, background=True
        )
        response_id, after = "", -1
        with suppress(openai.APIError):
            async for event in stream:
                after = event.sequence_number
                if event.type == "response.created":
                    response_id = event.response.id
                if event.type == "response.output_text.delta":
                    seen.append(event.delta)
                    dying.kill()
        async for event in await second.responses.retrieve(
            response_id, stream=True, starting_after=after
        ):
            assert event.sequence_number > after
            if event.type == "response.output_text.delta":
                seen.append(event.delta)
        assert "".join(seen) == WORDS
        assert (await second.responses.retrieve(response_id)).output_text == WORDS
    assert statuses(door.system) == [("bob", "ok")]


async def test_the_text_of_a_run_that_is_taken_over_comes_once(door: Door) -> None:
    bob = next(it for it in door.system.children if it.name.endswith("agent-bob"))
    async with client_of(door.url) as client:
        stream = await client.chat.completions.create(
            model="bob", messages=user(f"[[reply {WORDS}]]"), stream=True
        )
        text, killed = "", False
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text and not killed:
                killed = True
                bob.kill()
                _started(door)
    assert text == WORDS
    assert statuses(door.system) == [("bob", "ok")]


def _started(door: Door) -> Child:
    return door.system.start("services.agent", "bob")
