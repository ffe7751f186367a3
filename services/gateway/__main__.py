"""The gateway's process: `python -m services.gateway`. Any number of them can run."""

from __future__ import annotations

import asyncio
import sys
from uuid import uuid4

import structlog

from services.gateway.access.authentication import announce
from services.gateway.app import application
from services.gateway.gateway import Gateway
from services.gateway.metrics import Metrics
from services.gateway.tasks.hub import Hub
from services.gateway.webhooks.delivery import Webhooks
from shared.broker.connection import connect
from shared.contract import topology
from shared.definitions.loader import read_folder
from shared.process import http
from shared.process.control import handle_commands
from shared.process.health import unreachable
from shared.process.heartbeat import Heartbeat
from shared.process.runtime import START_S, Process, run
from shared.settings.gateway import GatewaySettings
from shared.store import open_store

log = structlog.get_logger()

STORE_S = 5.0
"""How long a request waits for an unavailable store before it is refused, to be sent again."""


async def serve(process: Process) -> None:
    settings, own = process.settings, GatewaySettings.from_environment()
    instance = f"{topology.GATEWAY}.{uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(instance=instance)
    async with (
        open_store(settings.store, retry_for_s=STORE_S, start_s=START_S) as store,
        connect(settings.broker, instance, wait_s=START_S) as broker,
    ):
        await broker.declare(topology.system() + topology.control(topology.GATEWAY, instance))
        control = await broker.consumer(topology.control_queue_name(instance))
        folder = read_folder(settings.agents)
        gateway = Gateway(settings, own, store, broker, folder, process.stopping, instance)

        async def why_not_ready() -> str:
            return await unreachable(broker, store)

        heartbeat = Heartbeat(store, topology.GATEWAY, instance)
        hub = Hub(gateway, Metrics(process.registry))
        app = application(gateway, hub)
        server = http.serving(
            app,
            own.host,
            own.port,
            what="the gateway",
            variables="HUTCH_GATEWAY_HOST and HUTCH_GATEWAY_PORT",
        )
        async with asyncio.TaskGroup() as jobs:
            serving = [
                jobs.create_task(handle_commands(control, process.stopping)),
                jobs.create_task(heartbeat.serve()),
                jobs.create_task(app.state.commands.serve()),
                jobs.create_task(app.state.mcp.serve()),
                jobs.create_task(Webhooks(gateway, process.registry).serve()),
            ]
            async with hub.serving(), server:
                await announce(app.state.keys)
                process.ready = why_not_ready
                await process.stopping.wait()
            for job in serving:
                job.cancel()
        await heartbeat.end()
    log.info("ended", mode=process.stopping.mode)


def main() -> int:
    """Run the gateway's process; returns its exit code."""
    return run(topology.GATEWAY, serve)


if __name__ == "__main__":
    sys.exit(main())
