"""What a process answers at /live, /ready and /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:  # a process that has neither needn't load them
    from shared.broker.connection import Broker
    from shared.store import Store

Check = Callable[[], str | Awaitable[str]]
"""Why not, in a few words; empty when all is well. Called in the event loop: must not block."""


async def unreachable(broker: Broker, store: Store) -> str:
    """Why a process can't work now, as far as broker and store are to blame."""
    if not broker.connected:
        return "no connection to the broker"
    if await broker.blocked():
        return "the broker takes no messages: its memory or disk is short"
    return "" if store.available else "the store can't be reached"


def application(*, live: Check, ready: Check, registry: CollectorRegistry) -> Starlette:
    """503 with the reason where a check has one; that /live answers says that the loop turns."""

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
    said = check()
    why_not = said if isinstance(said, str) else await said
    return PlainTextResponse(f"{why_not or 'ok'}\n", status_code=503 if why_not else 200)
