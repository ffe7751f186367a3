"""A small HTTP server beside what a process really does."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import structlog
import uvicorn
from starlette.applications import Starlette

from shared.errors import SettingsError

CLOSE_S = 1
"""Seconds that open connections get at the end: no reader holds a process longer than this."""


@contextlib.asynccontextmanager
async def serving(
    application: Starlette, host: str, port: int, *, what: str, variables: str
) -> AsyncIterator[None]:
    """Answers while what is inside runs. Port 0 is any free one; the log tells which.

    Raises `SettingsError`, naming `what` and the `variables` to set, when the address can't be
    listened on.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise SettingsError(
            f"can't serve {what} on {host}:{port}: {error.strerror}; "
            f"set {variables}, or port 0 for any free one"
        ) from error
    with listener:
        # Not `serve`: it takes signals away from the process and wakes ten times a second.
        config = _lean(application)
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        address = listener.getsockname()
        structlog.get_logger().info(f"{what} is served", host=address[0], port=address[1])
        try:
            yield
        finally:
            await server.shutdown(sockets=[listener])


def _lean(application: Starlette) -> uvicorn.Config:
    """Nothing that isn't asked for: each part left out is memory and start-up time saved."""
    return uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_S,
    )
