"""/live, /ready and /metrics of one process, on one port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from shared.errors import SettingsError

CLOSE_S = 1
"""A reader of /metrics that doesn't finish can't hold the end of a process longer than this."""

Check = Callable[[], str]
"""Why not, in a few words; empty when all is well. Called in the event loop: must not block."""


@contextlib.asynccontextmanager
async def serving(
    host: str, port: int, *, live: Check, ready: Check, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Answers while what is inside runs; the log tells the port. 503 carries the reason.

    That /live answers at all says that the event loop turns. Raises `SettingsError` when the
    address can't be listened on.
    """
    with _listener(host, port) as listener:
        server = _Server(
            uvicorn.Config(
                _application(live, ready, registry),
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                timeout_graceful_shutdown=CLOSE_S,
            )
        )
        address = listener.getsockname()
        structlog.get_logger().info("health is served", host=address[0], port=address[1])
        job = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await job


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process: uvicorn would take them away from it."""
        yield


def _listener(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"can't serve health on {host}:{port}: {error.strerror}; "
            "set HUTCH_HEALTH_HOST and HUTCH_HEALTH_PORT, or port 0 for any free one"
        ) from error


def _application(live: Check, ready: Check, registry: CollectorRegistry) -> Starlette:
    async def is_live(_: Request) -> Response:
        return _answer(live())

    async def is_ready(_: Request) -> Response:
        return _answer(ready())

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(
        routes=[Route("/live", is_live), Route("/ready", is_ready), Route("/metrics", metrics)]
    )


def _answer(why_not: str) -> Response:
    return PlainTextResponse(f"{why_not or 'ok'}\n", status_code=503 if why_not else 200)
