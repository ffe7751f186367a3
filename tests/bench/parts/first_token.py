"""From a model's first byte to a subscriber of the broker. The model writes 50 words a second."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence

from shared.contract.topology import STREAM
from tests.bench.load import listening, load
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process
from tests.bench.subjects.agents import define, new_store, real

RUNS = {1: 30, 32: 200}
"""By the number of runs at once."""
WARM_UP = 32


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, "streamer")
        served = system.start("tests.support.model.streaming").wait_for(r"serving (\S+)")
        system.env["OPENAI_BASE_URL"] = served[1]
        agent = real(system, "streamer", new_store(system, "streamer"))
        late = asyncio.run(_measured(system.env["RABBITMQ_URL"], agent))
    return Found([_row(at_once, late_s) for at_once, late_s in late.items()])


def _row(at_once: int, late_s: Sequence[float]) -> Row:
    cuts = statistics.quantiles(late_s, n=100, method="inclusive")
    what = f"from the model's first byte to a subscriber, {at_once} at once: p50; p95"
    return Row(what, f"{cuts[49] * 1000:.0f} ms; {cuts[94] * 1000:.0f} ms")


async def _measured(url: str, agent: Process) -> dict[int, list[float]]:
    """How late the first parts were, in seconds."""
    found = {}
    async with listening(url, STREAM, "#") as heard, load(url) as asking:
        await asking.asked(agent.exchange, agent.key, range(WARM_UP), WARM_UP, stream=True)
        for at_once, runs in RUNS.items():
            while not heard.empty():
                heard.get_nowait()
            await asking.asked(agent.exchange, agent.key, range(runs), at_once, stream=True)
            parts = [heard.get_nowait() for _ in range(heard.qsize())]
            found[at_once] = [
                at - float(part["text"].split()[0]) for at, part in parts if part["sequence"] == 0
            ]
    return found
