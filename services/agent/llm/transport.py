"""What a reply of a model's endpoint may weigh: it is read into memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2

from shared.errors import ModelError

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A hundred times the longest answer with its reasoning."""

MAX_COMPRESSED_BYTES = MAX_REPLY_BYTES // 100
"""Compressed against our wish: one byte can stand for a thousand."""


class _Bounded(httpx2.AsyncByteStream):
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


async def bounded(response: httpx2.Response) -> None:
    """A hook for each response before it is read: a longer one raises `ModelError`."""
    compressed = response.headers.get("content-encoding", "identity") != "identity"
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Bounded(
        response.stream, MAX_COMPRESSED_BYTES if compressed else MAX_REPLY_BYTES
    )
