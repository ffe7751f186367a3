"""`python -m services.scripted`: serves the scripted model until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import Iterator

import structlog
import uvicorn

from services.scripted.app import application
from services.scripted.script import Script
from shared import process
from shared.errors import SettingsError
from shared.settings import ScriptedSettings

CLOSE_S = 1
"""What open connections get at the end: a scripted latency holds nobody longer."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process: uvicorn would end with the first one."""
        yield


async def main(this: process.Process) -> None:
    settings = ScriptedSettings.from_environment()
    with _listener(settings) as listener:
        server = _Server(
            uvicorn.Config(
                application(Script.shipped()),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=CLOSE_S,
            )
        )
        host, port = listener.getsockname()[:2]
        structlog.get_logger().info("the scripted model is served", host=host, port=port)
        this.ready = lambda: ""
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await this.stopping.wait()
        finally:
            server.should_exit = True
            await serving


def _listener(settings: ScriptedSettings) -> socket.socket:
    try:
        return socket.create_server((settings.host, settings.port))
    except OSError as error:
        raise SettingsError(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}; "
            "set HUTCH_SCRIPTED_HOST and HUTCH_SCRIPTED_PORT, or port 0 for any free one"
        ) from error


if __name__ == "__main__":
    sys.exit(process.run("scripted", main))
