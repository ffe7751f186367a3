"""What lies between the openai package and the network: a limit on a response's size, and a
rehearsal.

Importing this module imports all that a request needs; it starts no thread and opens no socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio._backends._asyncio  # noqa: F401 - httpx2 imports it with the first request
import httpx2  # comes with openai, and is imported with it
import openai

from shared.errors import ModelError

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A hundred times the longest answer with its reasoning."""

MAX_COMPRESSED_BYTES = MAX_REPLY_BYTES // 100
"""For a body compressed although we ask for none: one byte can stand for a thousand."""

REHEARSAL_S = 1.0
"""The limit of one request of the rehearsal; usual are 5 ms."""


async def rehearse() -> None:
    """Make a request on each wire to a server on loopback. The first request and the first
    connection evaluate many types and fill caches, which takes as long as a short task.

    It blocks; run it in a thread with an event loop of its own. Nothing is raised without loopback.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")  # the end of the body
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        writer.close()

    with suppress(OSError, openai.APIConnectionError):
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            _, port = server.sockets[0].getsockname()
            async with openai.AsyncOpenAI(
                api_key="none",
                base_url=f"http://127.0.0.1:{port}",
                timeout=REHEARSAL_S,
                max_retries=0,
                # Without certificates, which take 20 ms to load, and without the proxy.
                http_client=openai.DefaultAsyncHttpxClient(verify=False, trust_env=False),
            ) as client:
                chat, responses = client.chat.completions, client.responses
                async with chat.with_streaming_response.create(model="", messages=()) as said:
                    await said.read()
                async with responses.with_streaming_response.create() as reply:
                    await reply.read()


async def limit_size(response: httpx2.Response) -> None:
    """A response hook. Reading the body raises `ModelError` once it is longer than allowed."""
    compressed = response.headers.get("content-encoding", "identity") != "identity"
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    most = MAX_COMPRESSED_BYTES if compressed else MAX_REPLY_BYTES
    response.stream = _Limited(response.stream, most)


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._stream:
            length += len(part)
            if length > self._most:
                raise ModelError(
                    f"the endpoint's reply is longer than {self._most} bytes",
                    public="the model's endpoint did not answer as it should",
                )
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
