"""The server of MCP over stdin and stdout: `python -m services.gateway.mcp`, by `hutch mcp`.

It is a gateway with one client, whose requests come from stdin.
"""

from __future__ import annotations

import os
from uuid import uuid4

import anyio
import structlog
from mcp.server.stdio import stdio_server

from services.gateway.gateway import Gateway
from services.gateway.mcp.client import local_client
from services.gateway.mcp.server import server
from services.gateway.metrics import Metrics
from services.gateway.tasks.hub import Hub
from shared.broker.connection import connect
from shared.concurrency.first import first_of
from shared.contract import topology
from shared.definitions.loader import read_folder
from shared.process.runtime import Process, exit_now, run
from shared.settings.gateway import GatewaySettings
from shared.store import open_store

log = structlog.get_logger()

STORE_S = 5.0
"""How long a request waits for an unavailable store before it is refused."""

STDOUT = 1


async def serve(process: Process, wire: int) -> None:
    """Serve one client; `wire` is the file descriptor of its stdout."""
    settings, own = process.settings, GatewaySettings.from_environment()
    instance = f"{topology.GATEWAY}.{uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(instance=instance)
    folder = read_folder(settings.agents)
    async with (
        open_store(settings.store, retry_for_s=STORE_S) as store,
        connect(settings.broker, instance) as broker,
    ):
        await broker.declare(topology.system())
        gateway = Gateway(settings, own, store, broker, folder, process.stopping, instance)
        hub = Hub(gateway, Metrics(process.registry))
        serving = await server(hub, local_client(instance))
        stdout = anyio.wrap_file(os.fdopen(wire, "w", encoding="utf-8"))
        async with hub.serving(), stdio_server(stdout=stdout) as (requests, responses):
            process.ready = lambda: ""
            options = serving.create_initialization_options()
            await first_of(serving.run(requests, responses, options), process.stopping.wait())
    log.info("ended", mode=process.stopping.mode)


def main() -> int:
    """Run the process; returns its exit code. Only MCP's messages go to stdout: what is printed or
    logged goes to stderr."""
    wire = os.dup(STDOUT)
    os.dup2(2, STDOUT)
    return run(topology.GATEWAY, lambda process: serve(process, wire))


if __name__ == "__main__":
    exit_now(main())  # a thread still reads stdin
