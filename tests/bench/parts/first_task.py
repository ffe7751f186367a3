"""The latency of a new process's first task, with the `openai` client, beside the next ones."""

from __future__ import annotations

import asyncio
import statistics

from tests.bench.load import load
from tests.bench.rig import Found, Rig, Row
from tests.bench.subjects.agents import define, endpoint, new_store, real
from tests.support.processes.running import System

NEXT = 5
"""Later tasks of each process, one after the other."""


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, "new")
        endpoint(system)
        store = new_store(system, "new")
        rounds = [_round(system, store) for _ in rig.rounds()]
    first_s = statistics.median(first for first, *_ in rounds)
    next_s = statistics.median(statistics.median(others) for _, *others in rounds)
    figure = f"{first_s / next_s:.1f} times ({first_s * 1000:.0f} ms; {next_s * 1000:.0f} ms)"
    return Found(
        [Row("the first task of a process, of the time of later ones", figure, "≤ 1.2 times")]
    )


def _round(system: System, store: str) -> list[float]:
    """Seconds of each of a new process's tasks, in order."""
    agent = real(system, "new", store)

    async def measured() -> list[float]:
        async with load(system.env["RABBITMQ_URL"]) as asking:
            return [await asking.ask(agent.exchange, agent.key) for _ in range(1 + NEXT)]

    latencies = asyncio.run(measured())
    system.children[-1].end()
    return latencies
