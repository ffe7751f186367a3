"""A thousand runs at once in one process, each waiting for a model that takes its time."""

from __future__ import annotations

import asyncio
import statistics
import time

from services.agent.runs.admission import OPEN_RUNS
from tests.bench.load import Load, load
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process
from tests.bench.subjects.agents import define, new_store, stubbed
from tests.support.processes.running import System

MODEL_S = 2.0
SAMPLE_S = 0.05
MB = 1024**2


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, "waiting")
        store = new_store(system, "waiting")
        return asyncio.run(_measured(system, rig, store))


async def _measured(system: System, rig: Rig, store: str) -> Found:
    agent = stubbed(system, "waiting", store, BENCH_MODEL_S=str(MODEL_S))
    async with load(system.env["RABBITMQ_URL"]) as asking:
        await asking.asked(agent.exchange, agent.key, range(200), at_once=200)  # warms up
        idle_mb = _rss_mb(agent)
        rounds = [await _round(asking, agent) for _ in rig.rounds()]
    wall_s = statistics.median(took_s for took_s, _ in rounds)
    most_mb = max(mb for _, mb in rounds)
    what = f"{OPEN_RUNS:,} runs that wait {MODEL_S:.0f} s for a model, one process: time"
    return Found(
        [
            Row(f"{what}, of the model's", f"{wall_s / MODEL_S:.2f} times", "≤ 1.2 times"),
            Row("the same: memory before; at most", f"{idle_mb:.0f} MB; {most_mb:.0f} MB"),
        ]
    )


async def _round(load: Load, agent: Process) -> tuple[float, float]:
    """Seconds from the first question to the last answer, and the most memory in MB."""
    sizes = [0.0]

    async def watch() -> None:
        while True:
            sizes.append(_rss_mb(agent))
            await asyncio.sleep(SAMPLE_S)

    async with asyncio.TaskGroup() as jobs:
        watching = jobs.create_task(watch())
        began = time.monotonic()
        await load.asked(agent.exchange, agent.key, range(OPEN_RUNS), OPEN_RUNS)
        took_s = time.monotonic() - began
        watching.cancel()
    return took_s, max(sizes)


def _rss_mb(agent: Process) -> float:
    return float(agent.process.memory_info().rss) / MB
