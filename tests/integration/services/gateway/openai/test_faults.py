"""What a client of OpenAI's API sees when an agent or a gateway dies, or ends, under it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import openai
import pytest
from openai.types.responses import ResponseOutputMessage

from tests.integration.services.gateway.openai.conftest import Door, client_of
from tests.integration.services.gateway.openai.test_chat import statuses, user
from tests.integration.services.gateway.openai.test_retries import Posts
from tests.support.gateway import gateway
from tests.support.model.streaming import WORDS as WORDS_OF_REPLY
from tests.support.processes.agents import define
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

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


@pytest.mark.essential
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


async def test_after_a_takeover_the_text_that_the_next_process_writes_follows_in_full(
    system: System, agents: Path
) -> None:
    """The endpoint begins each reply with the time, so the second one is another text."""
    served = system.start("tests.support.model.streaming").wait_for(r"serving (\S+)")
    define(agents, system, slow=f"model: {{name: streaming, base_url: '{served[1]}'}}")
    (slow,) = system.agents("slow")
    async with client_of(f"{gateway(system)[1]}/v1") as client:
        items, answer = defaultdict[str, str](str), ""
        async for event in await client.responses.create(model="slow", input="Hi", stream=True):
            if event.type == "response.output_text.delta":
                items[event.item_id] += event.delta
                if slow.process.poll() is None and len(items[event.item_id]) > 50:
                    slow.kill()
                    successor = system.start("services.agent", "slow")
            elif event.type == "response.output_item.done":
                assert isinstance(event.item, ResponseOutputMessage)
                assert event.item.status == ("completed" if len(items) == 2 else "incomplete")
            elif event.type == "response.completed":
                answer = event.response.output_text
        assert [it.strip() for it in items.values()][1:] == [answer]
        assert answer.count("word") == WORDS_OF_REPLY

        text = ""
        async for chunk in await client.chat.completions.create(
            model="slow", messages=user("Hi"), stream=True
        ):
            text += chunk.choices[0].delta.content or ""
            if successor.process.poll() is None and len(text) > 50:
                successor.kill()
                system.start("services.agent", "slow")
    begun, _, whole = text.partition("\n\n")
    assert whole.count("word") == WORDS_OF_REPLY
    assert 0 < begun.count("word") < WORDS_OF_REPLY
