"""The HTTP application of a process: /live, /ready and /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:  # not imported in a process that uses neither
    from shared.broker.connection import Broker
    from shared.store import Store

Check = Callable[[], str | Awaitable[str]]
"""Returns the reason why the process is not live or ready, empty if it is. It runs on the event
loop and must not block."""


async def unreachable(broker: Broker, store: Store) -> str:
    """The reason why broker or store stop a process from working now; empty if neither does."""
    if not broker.connected:
        return "no connection to the broker"
    if await broker.blocked():
        return "the broker takes no messages: its memory or disk is short"
    return "" if store.available else "the store can't be reached"


def application(*, live: Check, ready: Check, registry: CollectorRegistry) -> Starlette:
    """The application. A check's reason is sent with status 503; any response of /live also shows
    that the event loop is running."""

    async def is_live(_: Request) -> Response:
        return await _answer(live)

    async def is_ready(_: Request) -> Response:
        return await _answer(ready)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Starlette(
        routes=[Route("/live", is_live), Route("/ready", is_ready), Route("/metrics", metrics)]
    )


async def _answer(check: Check) -> Response:
    result = check()
    reason = result if isinstance(result, str) else await result
    return PlainTextResponse(f"{reason or 'ok'}\n", status_code=503 if reason else 200)
