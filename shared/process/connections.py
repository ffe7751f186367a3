"""The connections of an HTTP server: how many there can be, and how long one may send nothing."""

from __future__ import annotations

import asyncio
import resource

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""Within this time the head of a request must have arrived. uvicorn itself waits for ever, so that
clients that send nothing could use up all files that the process may open."""


def most_connections() -> int:
    """Half of the files that this process may open: broker, store and webhooks need some too."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if files == resource.RLIM_INFINITY else files // 2


class Connection(H11Protocol):
    """Closes itself if it is one too many, or if a request's head does not arrive in time."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        else:
            self._late = self.loop.call_later(HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._in_time()
        elif self._late is None and self.conn.trailing_data[0]:
            self._late = self.loop.call_later(HEAD_S, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_time()
        super().connection_lost(exc)

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
