"""The transport to a server at an address: streamable HTTP, with bounds on the responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
from mcp.client._transport import TransportStreams
from mcp.client.streamable_http import streamable_http_client
from pydantic import JsonValue
from pydantic_core import from_json

from services.agent.llm.transport import tls_context
from services.agent.tools.mcp.bounds import MOST_MESSAGE_BYTES, McpLink
from shared.definitions.mcp import McpServer
from shared.settings.child_environment import required_secret

_SESSION = "mcp-session-id"
FORGOTTEN = "does not know the session any more"
CONNECT_S = 10.0
IDLE_S = 300.0
"""The least time for which a response may be silent; a call's own timeout ends it earlier."""


@asynccontextmanager
async def http_transport(server: McpServer, link: McpLink) -> AsyncIterator[TransportStreams]:
    """Raises `SettingsError` for a missing variable; later requests read their headers anew."""

    async def sign(request: httpx2.Request) -> None:
        for name, variable in server.headers_env.items():
            request.headers[name] = required_secret(variable)

    async def limit(response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        if response.status_code in {401, 403}:
            link.detail = lambda: f"it refuses the credentials ({response.status_code})"
        response.stream = _Limited(response, response.stream, link)
        refused = response.status_code in {400, 404} and _SESSION in response.request.headers
        if refused and not _is_answer(await response.aread()):
            response.status_code = 404  # to the SDK, this alone says so
            response.headers["content-type"] = "text/plain"
            link.break_off(FORGOTTEN)

    for variable in server.headers_env.values():
        required_secret(variable)
    async with (
        httpx2.AsyncClient(
            headers={"Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(CONNECT_S, read=max(IDLE_S, server.timeout_s + CONNECT_S)),
            event_hooks={"request": [sign], "response": [limit]},
            verify=tls_context(),
        ) as client,
        streamable_http_client(
            server.url or "", http_client=client, max_sse_event_size=MOST_MESSAGE_BYTES
        ) as streams,
    ):
        yield streams


def _is_answer(body: bytes) -> bool:
    """Whether the body of a refusal answers the request itself, by its id."""
    try:
        message: JsonValue = from_json(body)
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("id") is not None


class _Limited(httpx2.AsyncByteStream):
    """A response's body. Reading it raises `httpx2.StreamError` once it is too long, which the SDK
    makes the answer of that request."""

    def __init__(
        self, response: httpx2.Response, stream: httpx2.AsyncByteStream, link: McpLink
    ) -> None:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._is_one_message = kind != "text/event-stream"
        self._is_compressed = response.headers.get("content-encoding", "identity") != "identity"
        self._stream = stream
        self._link = link

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._is_compressed:
            raise httpx2.StreamError("it is compressed, which was not asked for")
        length = 0
        async for part in self._stream:
            length += len(part)
            if self._is_one_message and length > MOST_MESSAGE_BYTES:
                raise httpx2.StreamError(f"it has more than {MOST_MESSAGE_BYTES >> 20} MiB")
            if not self._link.receive(len(part)):
                raise httpx2.StreamError(self._link.reason)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
