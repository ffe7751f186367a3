"""A limit on the size of a model endpoint's response, on its way to whatever reads it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2  # comes with openai, and is imported with it

from shared.errors import ModelError

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A hundred times the longest answer with its reasoning."""

MAX_COMPRESSED_BYTES = MAX_REPLY_BYTES // 100
"""For a body compressed although we ask for none: one byte can stand for a thousand."""


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
