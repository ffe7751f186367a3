"""An agent's process: `python -m services.agent NAME`."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from functools import partial
from math import inf
from uuid import uuid4

import structlog

from services.agent.delivery.outbox import Relay
from services.agent.delivery.refusals import Refusal
from services.agent.delivery.settle import Settling
from services.agent.instance import Instance
from services.agent.intake.claim import Intake
from services.agent.intake.mailbox import Mailbox
from services.agent.intake.swarm import Swarm
from services.agent.intake.tick import Tick
from services.agent.intake.unrouted import Unrouted
from services.agent.llm.registry import Models
from services.agent.loop.snapshot import Snapshot
from services.agent.runs.admission import Slots
from services.agent.runs.cancellation import Scopes
from services.agent.runs.execution import Lives
from services.agent.runs.open_runs import Runs
from services.agent.runs.pause import Brake
from services.agent.runs.toolbox import Toolbox
from services.agent.runs.workers import Replies
from services.agent.upkeep.commands import Orders
from services.agent.upkeep.heartbeat import Sweeper
from services.agent.upkeep.retention import Retention
from shared.broker.connection import Broker, connect
from shared.broker.consumer import Consumer
from shared.contract import topology
from shared.definitions.loader import equipped, read_folder
from shared.definitions.model import Definition
from shared.process.control import obey
from shared.process.health import unreachable
from shared.process.runtime import START_S, STOP_S, Process, leave, run
from shared.store import open_store
from shared.store.processes import heartbeats
from shared.store.runs.claim import freeze
from shared.telemetry.metrics import Metrics

log = structlog.get_logger()

CALLS_BEGIN = 0.5
"""Of a drain: the rest is for model calls that are under way. A run that comes to its next one is
handed over instead, so that none is cut off, and paid twice, that takes less than this rest."""


async def serve(process: Process, name: str) -> None:
    """Run one instance of an agent until it is asked to end."""
    settings = process.settings
    folder = read_folder(settings.agents)
    definition, tools = await equipped(folder, name)
    for other, fault in folder.faults.items():
        log.warning("an agent's file is wrong: it can't start", agent=other, fault=fault)
    toolbox = Toolbox(name, tools, definition.workers)
    metrics = Metrics(process.registry)
    models = Models(settings, metrics.model_failed)
    model = models.of(definition)  # a missing key or model is told now, not at the first task
    await model.warm()  # so are proxies and certificates; no heartbeat waits for it yet
    instance_id = f"{name}.{uuid4().hex[:8]}"
    structlog.contextvars.bind_contextvars(agent=name, instance=instance_id)
    async with (
        open_store(settings.store, patience_s=inf, start_s=START_S) as store,
        connect(settings.broker, instance_id, wait_s=START_S) as broker,
    ):
        instance = Instance(
            id=instance_id,
            snapshot=Snapshot.of(name, {**folder.described, name: definition}, toolbox.specs),
            store=store,
            publisher=broker.publisher,
            metrics=metrics,
            known=folder.names,
        )
        await broker.declare(_needs(definition, instance))
        await store.write("", lambda db: freeze(db, *_frozen(instance.snapshot)))
        # Before the first claim: the runs of an instance without a row are anybody's.
        await store.write("", lambda db: heartbeats.beat(db, instance.id, name))
        log.info("speaks to", model=model.name, base_url=model.base_url)
        try:
            await _run(process, instance, broker, toolbox, models)
        finally:
            await models.close()


async def _run(
    process: Process,
    instance: Instance,
    broker: Broker,
    toolbox: Toolbox,
    models: Models,
) -> None:
    definition, store = instance.definition, instance.store
    async with asyncio.TaskGroup() as jobs:
        slots = Slots(definition.limits.concurrency)
        relay = Relay(instance, jobs)
        replies = Replies(instance)
        refusal = Refusal(instance, relay)
        settling = Settling(refusal)
        brake, scopes = Brake(instance, slots), Scopes()
        lives = Lives(instance, relay, refusal, replies, toolbox, models, brake, scopes)
        runs = Runs(lives, jobs)
        orders = Orders(instance, slots, runs, brake, scopes, process.stopping, jobs)
        await orders.look()  # before the first claim: the agent may be paused
        sweeper = Sweeper(instance, slots, runs, relay, orders)
        intake = Intake(instance, slots, runs, relay, sweeper)
        consumer = await broker.consumer(topology.mailbox_name(instance.agent))
        mailbox = Mailbox(consumer, intake, settling, slots, sweeper)
        unrouted = Unrouted(broker, instance.known, settling)
        control = await broker.consumer(topology.control_queue_name(instance.id))
        serving = [
            obey(control, process.stopping, orders.cancel),
            replies.serve(await broker.consumer(replies.queue), settling),
            sweeper.serve(),
            Retention(instance, timedelta(days=process.settings.keep_days)).serve(),
            mailbox.serve(),
            mailbox.regulate(),
            unrouted.serve(await broker.consumer(topology.UNROUTED_QUEUE)),
        ]
        if definition.swarm:
            heard = await broker.consumer(topology.swarm_queue_name(instance.agent))
            serving.append(Swarm(instance, intake, settling).serve(heard))
        if definition.tick:
            serving.append(Tick(instance, intake).serve(definition.tick.total_seconds()))
        started = [jobs.create_task(job) for job in serving]

        async def why_not_ready() -> str:
            why_not = await unreachable(broker, store)
            return why_not or ("" if mailbox.serving else "not consuming yet")

        process.ready = why_not_ready
        _show(instance, slots, runs, consumer)
        instance.tell("instance.started")
        log.info("consuming", queue=consumer.queue)
        await process.stopping.wait()
        await _end(process, slots, brake, runs, relay)
        for job in started:
            job.cancel()
    instance.tell("instance.ended")
    # Only now, when nothing beats or claims any more: what is left is anybody's at once.
    await store.write("", lambda db: heartbeats.leave(db, instance.id))
    log.info("ended", mode=process.stopping.mode)


async def _end(process: Process, slots: Slots, brake: Brake, runs: Runs, relay: Relay) -> None:
    """Take nothing new, finish what time allows, hand over the rest."""
    slots.close()
    finished = asyncio.create_task(slots.idle.wait())
    stopped = asyncio.create_task(process.stopping.wait("stop"))  # a drain becomes a stop in time
    ended = partial(asyncio.wait, [finished, stopped], return_when=asyncio.FIRST_COMPLETED)
    await ended(timeout=process.settings.drain_s * CALLS_BEGIN)
    brake.ending = True
    await ended()
    finished.cancel()
    stopped.cancel()
    await runs.hand_over()
    try:
        async with asyncio.timeout(STOP_S / 2):
            await relay.idle()
    except TimeoutError:
        log.warning("responses left in the outbox: another instance sends them")
        relay.stop()


def _needs(definition: Definition, instance: Instance) -> topology.Topology:
    """What this process declares: its own queues, and its workers' mailboxes too."""
    name = definition.name
    needs = topology.house() + topology.mailbox(name)
    needs += topology.replies(name, instance.id) + topology.control(name, instance.id)
    needs += topology.store_mark(name, instance.store.id, instance.id)
    for worker in definition.workers:
        needs += topology.mailbox(worker)
    if definition.swarm:
        needs += topology.swarm(definition.swarm, name)
    return needs


def _frozen(snapshot: Snapshot) -> tuple[str, str]:
    return snapshot.digest, snapshot.body


def _show(instance: Instance, slots: Slots, runs: Runs, mailbox: Consumer) -> None:
    metrics, publisher = instance.metrics, instance.publisher
    metrics.events_dropped.set_function(lambda: publisher.dropped)
    metrics.slots_taken.set_function(lambda: slots.taken)
    metrics.runs_open.set_function(lambda: runs.open)
    metrics.mailbox_consuming.set_function(lambda: mailbox.consuming)
    metrics.runs.labels("running").set_function(lambda: slots.computing)
    metrics.runs.labels("waiting").set_function(lambda: slots.waiting)


def main() -> int:
    """The exit code of one agent's life."""
    names = sys.argv[1:]
    if len(names) != 1:
        sys.stderr.write("usage: python -m services.agent NAME\n")
        return 2
    return run(f"agent {names[0]}", lambda process: serve(process, names[0]))


if __name__ == "__main__":
    leave(main())
