"""The time from one agent's broadcast until all ten other members have noted it."""

from __future__ import annotations

import asyncio
import json
import statistics
import time

import aiormq
from aiormq.abc import DeliveredMessage

from shared.contract.topology import EVENTS
from tests.bench.load import PATIENCE_S, Load, load
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process
from tests.bench.subjects.agents import define, new_store, stubbed

LISTENERS = [f"peer{number}" for number in range(1, 11)]
WARM_UPS = 2
ROUNDS = WARM_UPS + 5


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, "speaker", *LISTENERS, swarm="office")
        store = new_store(system, "swarm")
        speaker, *_ = [stubbed(system, name, store) for name in ("speaker", *LISTENERS)]
        noted_s = asyncio.run(_measured(system.env["RABBITMQ_URL"], speaker))
    median_ms = statistics.median(noted_s[WARM_UPS:]) * 1000
    what = "a broadcast to ten agents, from the task to the tenth committed note"
    return Found([Row(what, f"{median_ms:.0f} ms")])


async def _measured(url: str, speaker: Process) -> list[float]:
    """The event of a note is published after its commit."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        queue = (await channel.queue_declare("", exclusive=True)).queue or ""
        await channel.queue_bind(queue, EVENTS, "*.note.heard")
        received: asyncio.Queue[str] = asyncio.Queue()

        async def receive(message: DeliveredMessage) -> None:
            received.put_nowait(json.loads(message.body)["agent"])

        await channel.basic_consume(queue, receive, no_ack=True)
        async with load(url) as asking:
            return [await _broadcast(asking, speaker, received) for _ in range(ROUNDS)]
    finally:
        await connection.close()


async def _broadcast(load: Load, speaker: Process, received: asyncio.Queue[str]) -> float:
    began = time.perf_counter()
    await load.ask(speaker.exchange, speaker.key)
    peers: set[str] = set()
    async with asyncio.timeout(PATIENCE_S):
        while len(peers) < len(LISTENERS):
            peers.add(await received.get())
    return time.perf_counter() - began
