"""The time from one agent's broadcast until all ten other members have noted it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass

import aiormq
from aiormq.abc import DeliveredMessage

from shared.contract.topology import EVENTS
from tests.bench.load import PATIENCE_S, Load
from tests.bench.rounds import ROUNDS, Subject

LISTENERS = 10
WARM_UPS = 2


@dataclass(frozen=True)
class Latencies:
    """Milliseconds from the task to its answer, and to the tenth peer's committed note."""

    answered_ms: float
    noted_ms: float


async def broadcasts(url: str, load: Load, speaker: Subject) -> list[Latencies]:
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
        rounds = [await _broadcast(load, speaker, received) for _ in range(WARM_UPS + ROUNDS)]
        return rounds[WARM_UPS:]
    finally:
        await connection.close()


async def _broadcast(load: Load, speaker: Subject, received: asyncio.Queue[str]) -> Latencies:
    began = time.perf_counter()
    answered_s = await load.ask(speaker.exchange, speaker.key)
    peers: set[str] = set()
    async with asyncio.timeout(PATIENCE_S):
        while len(peers) < LISTENERS:
            peers.add(await received.get())
    return Latencies(answered_s * 1000, (time.perf_counter() - began) * 1000)
