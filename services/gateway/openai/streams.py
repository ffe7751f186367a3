"""Streams to OpenAI's clients, and what happens when a client leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import JsonValue
from pydantic_core import to_json
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Message

from services.gateway.openai.errors import RETRY, RequestError

KEEP_ALIVE_S = 10.0
"""Seconds between two comments in a quiet stream, so that no proxy takes it for dead."""

ON_DISCONNECT = "x-hutch-on-disconnect"

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "description": "The answer, or with `stream` the events of a stream.",
    }
}
"""For the description of routes that stream if the client asks for that."""


async def _open_stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


Stack = Annotated[AsyncExitStack, Depends(_open_stack)]
"""Closed when the response has been sent, a streamed one too."""


def draining() -> RequestError:
    """The error while this gateway ends; the run goes on."""
    return RequestError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "this gateway ends, and the run goes on: send the request again",
        code="gateway_draining",
        headers=RETRY,
    )


def event(body: dict[str, JsonValue], name: str | None = None) -> ServerSentEvent:
    return ServerSentEvent(to_json(body).decode(), event=name, sep="\n")


def event_stream(
    events: AsyncIterator[ServerSentEvent], on_leave: Callable[[], Awaitable[None]] | None
) -> EventSourceResponse:
    """A response with these events; `on_leave` is called if the client leaves before the last."""

    async def left(_: Message) -> None:
        if on_leave is not None:
            await on_leave()

    return EventSourceResponse(
        events, ping=KEEP_ALIVE_S, sep="\n", client_close_handler_callable=left
    )


async def disconnected(request: Request) -> None:
    """Wait until the client has left; its body must have been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
