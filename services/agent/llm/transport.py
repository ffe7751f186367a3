"""A limit on the size of a model endpoint's response, which is read into memory whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import ModelError

if TYPE_CHECKING:
    import httpx2  # comes with openai; at run time only the response that it hands over is used

MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A hundred times the longest answer with its reasoning."""

MAX_COMPRESSED_BYTES = MAX_REPLY_BYTES // 100
"""For a body compressed although we ask for none: one byte can stand for a thousand."""


async def limit_size(response: httpx2.Response) -> None:
    """A response hook: reads the raw body before anything else does.

    Raises `ModelError` once it is longer than allowed.
    """
    compressed = response.headers.get("content-encoding", "identity") != "identity"
    most = MAX_COMPRESSED_BYTES if compressed else MAX_REPLY_BYTES
    stream, body = response.stream, bytearray()
    if TYPE_CHECKING:
        assert isinstance(stream, httpx2.AsyncByteStream)
    async for part in stream:
        body += part
        if len(body) > most:
            raise ModelError(
                f"the endpoint's reply is longer than {most} bytes",
                public="the model's endpoint did not answer as it should",
            )
    await stream.aclose()
    response.stream = type(response)(response.status_code, content=bytes(body)).stream
