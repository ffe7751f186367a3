"""A server that receives webhooks."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from shared.process.http import serving

PATIENCE_S = 60.0


@dataclass
class Receiver:
    """Records what it gets; `answers` are its statuses, then 204."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hanging: asyncio.Event | None = None
    """Until it is set, requests are received and not answered."""
    address: str = ""

    async def take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        if self.hanging:
            await self.hanging.wait()
        status = self.answers.pop(0) if self.answers else 204
        return Response(status_code=status, headers={"Location": "/elsewhere"})

    async def until_got(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.got) < number:  # noqa: ASYNC110 - only a test waits for it
                await asyncio.sleep(0.01)

    @property
    def ids(self) -> Counter[str]:
        """How often each webhook was received, by its id."""
        return Counter(headers["webhook-id"] for headers, _ in self.got)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path}", receiver.take, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with serving(app, "127.0.0.1", port, what="a receiver", variables="none"):
        receiver.address = f"http://localhost:{port}/hook"
        yield receiver
