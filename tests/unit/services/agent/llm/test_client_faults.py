"""Every failure of a call is a `ModelError`, and its text can be stored and shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import JsonValue, SecretStr

from services.agent.llm.chat import ChatMessage, Request, ToolSpec, User
from services.agent.llm.client import ATTEMPTS, OpenAIModel
from shared.errors import ModelError, ModelUnavailable
from tests.support.model.endpoint import Answer, Endpoint

HISTORY: list[ChatMessage] = [User(content="Hello")]


async def failure(
    url: str, key: str = "secret-1234", content: str = "Hello", tools: tuple[ToolSpec, ...] = ()
) -> ModelError:
    model = OpenAIModel("tiny", url, lambda: SecretStr(key), longest_backoff_s=0)
    with pytest.raises(ModelError) as caught:
        await model.complete(Request([User(content=content)], tools))
    await model.close()
    said = f"{caught.value} {caught.value.public}"
    assert key.strip() not in said
    assert "\0" not in said
    said.encode("utf-8")
    return caught.value


@asynccontextmanager
async def speaking(reply: bytes) -> AsyncIterator[str]:
    """An endpoint that says this to each request, HTTP or not, and hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 999999 Odd\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
async def test_a_reply_that_is_no_http_is_an_endpoint_that_cannot_be_reached(reply: bytes) -> None:
    async with speaking(reply) as url:
        error = await failure(url)
    assert isinstance(error, ModelUnavailable)
    assert error.public == "the model can't be reached"


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "secret-1234", "code": ["a", "list"], "type": {}}},
        {"error": "\ud83d and \0"},
        {"error": None},
        [{"error": {"message": "no"}}],
        "half a pair: \ud83d",
        b"plain text with \0 and \xff",
        b"[" * 100_000,
        b"",
    ],
)
async def test_an_error_of_any_form_is_one(
    endpoint: Endpoint, status: int, body: JsonValue | bytes
) -> None:
    endpoint.script = [Answer(body, status)] * ATTEMPTS
    error = await failure(endpoint.url)
    assert isinstance(error, ModelUnavailable) == (status != 400)


@pytest.mark.parametrize("key", ["secret-1234\nX: 1", "ключ"])
async def test_a_key_that_no_header_carries_is_not_shown(endpoint: Endpoint, key: str) -> None:
    await failure(endpoint.url, key)
    assert endpoint.requests == []


async def test_a_history_that_no_json_carries_fails_the_call(endpoint: Endpoint) -> None:
    assert "UnicodeEncodeError" in str(await failure(endpoint.url, content="\ud83d"))


async def test_tools_that_no_json_carries_fail_the_call(endpoint: Endpoint) -> None:
    nested: JsonValue = []
    for _ in range(100_000):
        nested = [nested]
    spec = ToolSpec.model_construct(name="lookup", description="", parameters={"x": nested})
    await failure(endpoint.url, tools=(spec,))


async def test_an_address_that_is_none_is_an_endpoint_that_cannot_be_reached() -> None:
    assert isinstance(await failure("http://nowhere.invalid/v1"), ModelUnavailable)
