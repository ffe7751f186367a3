"""Streams of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Message, Receive, Scope, Send

from services.gateway.metrics import Metrics

KEEP_ALIVE_S = 10
"""Seconds between comments while nothing happens: proxies close connections that are silent for a
minute, and some clients after 15 s."""


RETRY_MS = 500
"""The time after which a browser connects again; its own choice is some seconds."""


def opening() -> ServerSentEvent:
    """The beginning of each stream, so that the client knows at once that it is connected."""
    return ServerSentEvent(retry=RETRY_MS, comment="connected", sep="\n")


class EventStream(EventSourceResponse):
    """A stream that is counted, and that releases what it holds however it ends.

    `on_leave` is called when the client leaves before the end.
    """

    def __init__(
        self,
        events: AsyncIterator[ServerSentEvent],
        metrics: Metrics,
        held: AsyncExitStack,
        on_leave: Callable[[Message], Awaitable[None]] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            events,
            headers=headers,
            ping=KEEP_ALIVE_S,
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
            sep="\n",
            client_close_handler_callable=on_leave,
        )
        self._metrics = metrics
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._metrics.streams.track_inprogress():
            async with self._held:
                await super().__call__(scope, receive, send)
