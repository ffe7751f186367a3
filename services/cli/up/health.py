"""`/live` and `/ready` of `hutch up`, for all its processes at once.

They are served only if `HUTCH_HEALTH_PORT` is set, as in a container. The processes then have the
ports after it, with `/metrics` of each.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from prometheus_client import CollectorRegistry

from services.cli.machine.fleet import Fleet
from shared.process import health, http

ANSWER_S = 2.0
"""The time limit for each process's answer, below that of a container's health check."""


@asynccontextmanager
async def served(fleet: Fleet, host: str, port: int) -> AsyncIterator[None]:
    """Serve them while the context lasts. `/ready` names the processes that are not ready."""
    if not port:
        yield
        return
    application = health.application(
        live=lambda: "",
        ready=partial(_why_not_ready, fleet, host),
        registry=CollectorRegistry(),
    )
    variables = "HUTCH_HEALTH_HOST and HUTCH_HEALTH_PORT"
    async with http.serving(application, host, port, what="health", variables=variables):
        yield


async def _why_not_ready(fleet: Fleet, host: str) -> str:
    if fleet.ending:
        return "stopping"
    found = await asyncio.gather(*(_why_not(host, *it) for it in fleet.health_ports.items()))
    return "; ".join(filter(None, found))


async def _why_not(host: str, name: str, port: int) -> str:
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"GET /ready HTTP/1.0\r\n\r\n")
                head, _, reason = (await reader.read()).decode().partition("\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return f"{name} does not answer"
    return "" if " 200 " in head.partition("\r\n")[0] else f"{name}: {reason.strip()}"
