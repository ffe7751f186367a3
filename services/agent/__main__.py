"""An agent's process: `python -m services.agent NAME`."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from math import inf
from pathlib import Path
from uuid import uuid4

import structlog

from services.agent.delivery.outbox import Outbox
from services.agent.delivery.refusals import Refusals
from services.agent.delivery.settle import Settlement
from services.agent.instance import Instance
from services.agent.intake.claim import Claims
from services.agent.intake.mailbox import Mailbox
from services.agent.intake.swarm import Swarm
from services.agent.intake.tick import Tick
from services.agent.intake.unrouted import Unrouted
from services.agent.llm.registry import ModelRegistry
from services.agent.loop.snapshot import restore_snapshot
from services.agent.memory.built_in import BuiltIn
from services.agent.memory.choice import index_tools
from services.agent.memory.index import KnowledgeIndex
from services.agent.runs.admission import Admission
from services.agent.runs.cancellation import CancelScopes
from services.agent.runs.ending import Endings
from services.agent.runs.execution import Execution, RunParts
from services.agent.runs.models import RunModels
from services.agent.runs.open_runs import OpenRuns
from services.agent.runs.pause import Pause
from services.agent.runs.rate_limits import RateLimits
from services.agent.runs.shutdown import shut_down
from services.agent.runs.workers import Replies
from services.agent.tools.mcp.start import connected
from services.agent.tools.objects import opened
from services.agent.tools.python_tool import PythonTool
from services.agent.tools.threads import ToolThreads
from services.agent.tools.toolbox import Toolbox, no_other
from services.agent.upkeep.commands import Commands
from services.agent.upkeep.heartbeat import Heartbeat
from services.agent.upkeep.retention import Retention
from services.agent.upkeep.takeover import Takeover
from services.agent.upkeep.tool_changes import Parts, ToolChanges
from shared.broker.connection import Broker, connect
from shared.broker.consumer import Consumer
from shared.contract import topology
from shared.contract.entities import Topology
from shared.definitions.loader import described, equipped, read_folder
from shared.definitions.model import Definition
from shared.definitions.narrowing import narrowed
from shared.definitions.skills import skill_folders
from shared.errors import BrokerError
from shared.prices import PriceList
from shared.process.control import handle_commands
from shared.process.health import unreachable
from shared.process.runtime import START_S, Process, exit_now, run
from shared.store import open_store
from shared.store.processes import heartbeats
from shared.store.runs.claim import freeze
from shared.store.runs.rehearsal import rehearse
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()


async def serve(process: Process, name: str) -> None:
    """Run one instance of an agent until it is asked to end."""
    settings = process.settings
    folder = read_folder(settings.agents)
    found = await equipped(folder, name)
    definition = found.definition
    for other, fault in folder.faults.items():
        log.warning("an agent's file is wrong: it can't start", agent=other, fault=fault)
    workers, faults = await described(folder, [it.name for it in definition.workers])
    for fault in faults:
        log.warning("a worker's output can't be loaded", fault=fault)
    metrics = Metrics(process.registry)
    models = ModelRegistry(settings, metrics.model_failed)
    # A missing key or model is an error now, not at the first task.
    model, *_ = models.all_of(definition)
    await model.warm()  # loads proxies and certificates now, while no heartbeat waits for it
    instance_id = f"{name}.{uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(agent=name, instance=instance_id)
    async with (
        opened([*found.tools, *found.checks.values()]) as tools,
        open_store(settings.store, retry_for_s=inf, start_s=START_S) as store,
        connect(settings.broker, instance_id, wait_s=START_S) as broker,
        connected(definition, folder.path, store, metrics.mcp_server) as servers,
    ):
        threads = ToolThreads()
        own = [PythonTool(tool, threads) for tool in tools]
        most = len(found.tools)
        checks = dict(zip(found.checks, own[most:], strict=True))
        parts = Parts(name, {**workers, name: definition}, [it.spec for it in own[:most]])
        toolbox = Toolbox(own[:most], checks, servers.find if servers else no_other)
        metrics.tool_threads.labels("running").set_function(lambda: threads.running)
        metrics.tool_threads.labels("abandoned").set_function(lambda: threads.abandoned)
        snapshot = parts.snapshot(servers)
        instance = Instance(
            id=instance_id,
            snapshot=snapshot,
            store=store,
            publisher=broker.publisher,
            metrics=metrics,
            known=folder.names,
        )
        await broker.declare(_needs(definition, instance))
        await store.write("", lambda db: freeze(db, snapshot.digest, snapshot.body))
        # Before the first claim: any replica takes the runs of an instance without a row.
        await store.write("", lambda db: heartbeats.record(db, instance.id, name))
        await index_tools(store, snapshot)
        await _prepare(instance)
        log.info("model chosen", model=model.name, base_url=model.base_url)
        if snapshot.output is not None:
            lost = narrowed(snapshot.output, model.profile.schemas.refused).lost
            log.info("output loaded", only_checked=lost)  # the endpoint does not take these parts
        try:
            changes = ToolChanges(instance, parts, servers) if servers else None
            await _run(process, instance, broker, toolbox, models, folder.path, changes)
        finally:
            await models.close()


async def _prepare(instance: Instance) -> None:
    """Do what the first task would otherwise wait for."""
    restore_snapshot(instance.snapshot.body)  # it is kept
    with suppress(BrokerError):
        await instance.publisher.prepare()
    names = instance.agent, instance.id, instance.snapshot.digest
    await instance.store.write("", lambda db: rehearse(db, *names))


async def _run(
    process: Process,
    instance: Instance,
    broker: Broker,
    toolbox: Toolbox,
    models: ModelRegistry,
    folder: Path,
    changes: ToolChanges | None,
) -> None:
    definition, store = instance.definition, instance.store
    async with asyncio.TaskGroup() as jobs:
        admission = Admission(definition.limits.concurrency)
        outbox = Outbox(instance, jobs)
        replies = Replies(instance)
        refusals = Refusals(instance, outbox)
        settlement = Settlement(refusals)
        pause, scopes = Pause(instance, admission), CancelScopes()
        index = KnowledgeIndex(instance, folder, models.of_embeddings(definition))
        skills = skill_folders(folder, definition.skills)
        built_in = BuiltIn(store, index, skills)
        prices = PriceList(process.settings.prices)
        limits = RateLimits(process.settings.limits, instance, jobs)
        run_models = RunModels(instance, models, pause, prices, limits)
        parts = RunParts(instance, replies, toolbox, built_in, run_models, pause)
        execution = Execution(instance, parts, scopes, Endings(instance, outbox, refusals))
        runs = OpenRuns(execution, admission, jobs)
        commands = Commands(instance, admission, runs, pause, scopes, process.stopping, jobs)
        await commands.poll()  # before the first claim: the agent may be paused
        takeover = Takeover(instance, admission, runs, outbox)
        claims = Claims(instance, admission, runs, outbox)
        consumer = await broker.consumer(topology.mailbox_name(instance.agent))
        mailbox = Mailbox(consumer, claims, settlement, admission)
        unrouted = Unrouted(broker, instance.known, settlement)
        control = await broker.consumer(topology.control_queue_name(instance.id))
        serving = [
            handle_commands(control, process.stopping, commands.cancel),
            replies.serve(await broker.consumer(replies.queue), settlement),
            replies.watch_parked(),
            Heartbeat(instance, admission, takeover, commands).serve(),
            Retention(instance, timedelta(days=process.settings.keep_days)).serve(),
            mailbox.serve(),
            mailbox.regulate(),
            index.serve(),
            unrouted.serve(await broker.consumer(topology.UNROUTED_QUEUE)),
        ]
        if definition.swarm:
            broadcasts = await broker.consumer(topology.swarm_queue_name(instance.agent))
            serving.append(Swarm(instance, claims, settlement).serve(broadcasts))
        if changes:
            serving.append(changes.serve())
        if definition.tick:
            serving.append(Tick(instance, claims).serve(definition.tick.total_seconds()))
        started = [jobs.create_task(job) for job in serving]

        async def why_not_ready() -> str:
            why_not = await unreachable(broker, store)
            return why_not or ("" if mailbox.serving else "not consuming yet")

        process.ready = why_not_ready
        _expose(instance, admission, runs, consumer)
        instance.announce("instance.started")
        log.info("consuming", queue=consumer.queue)
        await process.stopping.wait()
        await shut_down(process, admission, pause, runs, outbox)
        for job in started:
            job.cancel()
    instance.announce("instance.ended")
    # Only now, when no job claims a run or records a heartbeat: any replica takes what is left.
    await store.write("", lambda db: heartbeats.remove(db, instance.id))
    log.info("ended", mode=process.stopping.mode)


def _needs(definition: Definition, instance: Instance) -> Topology:
    """The topology that this process declares: its own queues and its workers' mailboxes."""
    name = definition.name
    needs = topology.system() + topology.mailbox(name)
    needs += topology.replies(name, instance.id) + topology.control(name, instance.id)
    needs += topology.store_mark(name, instance.store.id, instance.id)
    for worker in definition.workers:
        needs += topology.mailbox(worker.name)
    if definition.swarm:
        needs += topology.swarm(definition.swarm, name)
    return needs


def _expose(instance: Instance, admission: Admission, runs: OpenRuns, mailbox: Consumer) -> None:
    metrics, publisher = instance.metrics, instance.publisher
    metrics.events_dropped.set_function(lambda: publisher.dropped)
    metrics.slots_taken.set_function(lambda: admission.taken)
    metrics.runs_open.set_function(lambda: runs.open)
    metrics.mailbox_consuming.set_function(lambda: mailbox.consuming)
    metrics.runs.labels("running").set_function(lambda: admission.computing)
    metrics.runs.labels("waiting").set_function(lambda: admission.waiting)


def main() -> int:
    """Run one agent's process; returns its exit code."""
    names = sys.argv[1:]
    if len(names) != 1:
        sys.stderr.write("usage: python -m services.agent NAME\n")
        return 2
    return run(f"agent {names[0]}", lambda process: serve(process, names[0]))


if __name__ == "__main__":
    exit_now(main())
