"""A thousand runs at once in one process, each waiting for a model that takes its time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from services.agent.runs.admission import OPEN_RUNS
from tests.bench.load import Load
from tests.bench.rounds import ROUNDS, Subject, warm_up

MODEL_S = 2.0
SAMPLE_S = 0.05


@dataclass(frozen=True)
class Crowd:
    wall_s: float
    idle_mb: float
    most_mb: float

    @property
    def kb_a_run(self) -> float:
        return (self.most_mb - self.idle_mb) / OPEN_RUNS * 1024


async def crowds(load: Load, subject: Subject) -> list[Crowd]:
    """From the first question to the last answer; the process's memory before and at its most."""
    await warm_up(load, [subject], at_once=200)
    return [await _crowd(load, subject) for _ in range(ROUNDS)]


async def _crowd(load: Load, subject: Subject) -> Crowd:
    idle_mb, sizes = _rss_mb(subject), [0.0]

    async def watch() -> None:
        while True:
            sizes.append(_rss_mb(subject))
            await asyncio.sleep(SAMPLE_S)

    watching = asyncio.create_task(watch())
    began = time.monotonic()
    await load.asked(subject.exchange, subject.key, OPEN_RUNS, OPEN_RUNS)
    wall_s = time.monotonic() - began
    watching.cancel()
    return Crowd(wall_s, idle_mb, max(sizes))


def _rss_mb(subject: Subject) -> float:
    return float(subject.process.memory_info().rss) / 1024**2
