"""The time from one agent's broadcast until all ten other members have noted it."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from shared.contract.topology import EVENTS
from tests.bench.load import PATIENCE_S, Load, listening, load
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
    async with listening(url, EVENTS, "*.note.heard") as heard, load(url) as asking:
        return [await _broadcast(asking, speaker, heard) for _ in range(ROUNDS)]


async def _broadcast(
    load: Load, speaker: Process, heard: asyncio.Queue[tuple[float, dict[str, Any]]]
) -> float:
    began = time.monotonic()
    await load.ask(speaker.exchange, speaker.key)
    at, peers = began, set[str]()
    async with asyncio.timeout(PATIENCE_S):
        while len(peers) < len(LISTENERS):
            at, event = await heard.get()
            peers.add(event["agent"])
    return at - began
