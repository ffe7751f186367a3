"""A small HTTP server that runs beside a process's main work."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator

import structlog
import uvicorn
from starlette.applications import Starlette

from shared.errors import SettingsError
from shared.process.connections import Connection

CLOSE_S = 1
"""Seconds for which open connections may delay the end of the process."""


@contextlib.asynccontextmanager
async def serving(
    application: Starlette, host: str, port: int, *, what: str, variables: str
) -> AsyncIterator[None]:
    """Serve the application for the time of the context. Port 0 stands for any free port, which is
    logged.

    Raises `SettingsError`, which names `what` and the `variables` to set, when the server can't
    listen on the address.
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
        # Not `Server.serve`: it replaces the signal handlers and wakes ten times a second.
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
    """A configuration without optional parts, which saves memory and start-up time."""
    return uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=CLOSE_S,
    )
