"""One question is one run, however often a client library sends it."""

from __future__ import annotations

import httpx2
import openai
import pytest

from tests.integration.services.gateway.openai.conftest import Door
from tests.integration.services.gateway.openai.test_chat import statuses, user
from tests.support.gateway import gateway

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


class Posts(httpx2.AsyncHTTPTransport):
    """Sends requests to one gateway after the other, and keeps their retry counts."""

    def __init__(self, *ports: int) -> None:
        super().__init__()
        self.ports = ports
        self.counts: list[str] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        port = self.ports[len(self.counts) % len(self.ports)]
        self.counts.append(request.headers["x-stainless-retry-count"])
        request.url = request.url.copy_with(port=port)
        request.headers["host"] = f"127.0.0.1:{port}"
        return await super().handle_async_request(request)


@pytest.mark.essential
async def test_an_impatient_client_posts_three_times_at_two_gateways_and_there_is_one_run(
    door: Door,
) -> None:
    other = gateway(door.system)[1]
    posts = Posts(*(int(url.split(":")[2].partition("/")[0]) for url in (door.url, other)))
    http = openai.DefaultAsyncHttpxClient(transport=posts)
    async with openai.AsyncOpenAI(
        base_url=door.url, api_key="none", timeout=2.0, max_retries=2, http_client=http
    ) as impatient:
        made = await impatient.chat.completions.create(
            model="bob", messages=user("[[latency 5]][[reply Here it is.]]")
        )
        assert posts.counts == ["0", "1", "2"]
        assert made.choices[0].message.content == "Here it is."
        assert statuses(door.system) == [("bob", "ok")]
        again = await impatient.chat.completions.create(
            model="bob", messages=user("[[latency 5]][[reply Here it is.]]"), timeout=20.0
        )
        assert again.id != made.id
    assert statuses(door.system) == [("bob", "ok")] * 2


async def test_an_idempotency_key_is_one_run_and_refuses_another_question(
    client: openai.AsyncOpenAI, door: Door
) -> None:
    named = {"Idempotency-Key": "order 7"}
    made = [
        await client.chat.completions.create(
            model="bob", messages=user("[[reply Done.]]"), extra_headers=named
        )
        for _ in range(2)
    ]
    assert made[0].id == made[1].id
    assert statuses(door.system) == [("bob", "ok")]
    with pytest.raises(openai.ConflictError) as refused:
        await client.chat.completions.create(
            model="bob", messages=user("[[reply Other.]]"), extra_headers=named
        )
    assert refused.value.response.headers["x-should-retry"] == "false"
