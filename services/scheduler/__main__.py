"""The scheduler's process: `python -m services.scheduler [AGENT…]`. Any number of them can run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection
from functools import partial
from math import inf
from uuid import uuid4

import structlog

from services.scheduler.emitter import EMITTING_S, Emitter
from services.scheduler.metrics import Metrics
from services.scheduler.plan import Scheduled, scheduled
from shared.broker.connection import connect
from shared.contract import topology
from shared.contract.entities import Topology
from shared.definitions.loader import read_folder
from shared.process.control import handle_commands
from shared.process.health import unreachable
from shared.process.heartbeat import Heartbeat
from shared.process.runtime import START_S, Process, run
from shared.store import Store, open_store

log = structlog.get_logger()


async def serve(process: Process, agents: Collection[str]) -> None:
    """Send the ticks of these agents' schedules; without names, of all agents in the folder.

    The agents' files are read at the start. An agent whose file can't be read has no ticks; the
    others have theirs.
    """
    settings = process.settings
    folder = read_folder(settings.agents)
    wanted = set(agents or folder.files)
    for agent in wanted & set(folder.faults):
        log.warning("an agent's file is wrong", agent=agent, fault=folder.faults[agent])
    known = scheduled({name: it for name, it in folder.found.items() if name in wanted})
    instance = f"{topology.SCHEDULER}.{uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(instance=instance)
    async with (
        open_store(settings.store, retry_for_s=inf, start_s=START_S) as store,
        connect(settings.broker, instance, wait_s=START_S) as broker,
    ):
        await broker.declare(_needs(known, store, instance))
        heartbeat = Heartbeat(store, topology.SCHEDULER, instance)
        emitter = Emitter(store, broker.publisher, Metrics(process.registry), known)
        control = await broker.consumer(topology.control_queue_name(instance))

        async def why_not_ready() -> str:
            why_not = await unreachable(broker, store)
            return why_not or ("" if emitter.emitting else f"no pass for {EMITTING_S:.0f} s")

        process.ready = why_not_ready
        if known:
            log.info("scheduling", schedules=[one.key for one in known])
        else:
            log.info("no agent has a schedule: nothing to do", agents=str(settings.agents))
        async with asyncio.TaskGroup() as jobs:
            serving = [
                jobs.create_task(handle_commands(control, process.stopping)),
                jobs.create_task(emitter.serve()),
                jobs.create_task(heartbeat.serve()),
            ]
            await process.stopping.wait()
            for job in serving:
                job.cancel()
        await heartbeat.end()
    log.info("ended", mode=process.stopping.mode)


def _needs(known: tuple[Scheduled, ...], store: Store, instance: str) -> Topology:
    """The mark of the store is part of it: in another store each tick would look unclaimed."""
    needs = topology.system() + topology.control(topology.SCHEDULER, instance)
    for agent in sorted({one.agent for one in known}):
        needs += topology.mailbox(agent) + topology.store_mark(agent, store.id, instance)
    return needs


def main() -> int:
    """Run the scheduler's process; returns its exit code."""
    return run(topology.SCHEDULER, partial(serve, agents=sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
