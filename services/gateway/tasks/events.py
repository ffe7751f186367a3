"""Streams of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.types import Message, Receive, Scope, Send

from services.gateway.tasks.metrics import Metrics

KEEP_ALIVE_S = 10
"""Seconds between comments while nothing happens: proxies close connections that are silent for a
minute, and some clients after 15 s."""


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
    ) -> None:
        super().__init__(
            events,
            ping=KEEP_ALIVE_S,
            ping_message_factory=lambda: ServerSentEvent(comment="keep-alive", sep="\n"),
            sep="\n",
            client_close_handler_callable=on_leave,
        )
        self._metrics = metrics
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            with self._metrics.streams.track_inprogress():
                await super().__call__(scope, receive, send)
