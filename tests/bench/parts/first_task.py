"""A new process's first task beside the next ones, with the `openai` client."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from shared.store.database.migrate import migrate
from tests.bench.load import Load, load, used_s
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process
from tests.bench.subjects.agents import define, endpoint, new_store, real
from tests.support.processes.running import System

NEXT = 5
"""Later tasks of each process, one after the other."""
SETTLES_S = 0.3
"""After a start, and after an answer: the outbox is cleared and events are sent."""
STORES, WIRES, TEXTS = ("SQLite", "PostgreSQL"), ("chat", "responses"), ("whole", "streamed")
KINDS = [" ".join(kind) for kind in product(STORES, WIRES, TEXTS)]


@dataclass(frozen=True)
class Task:
    took_s: float
    cpu_s: float
    """Of the agent's process, until the answer was here."""


def measure(rig: Rig) -> Found:
    with rig.system() as system, rig.postgresql.database() as postgresql:
        asyncio.run(migrate(postgresql))
        stores = {"SQLite": new_store(system, "new"), "PostgreSQL": postgresql}
        for wire in WIRES:
            define(system, wire, model={"api": wire})
        endpoint(system)
        rounds = [_round(system, stores) for _ in rig.rounds()]
    lines = [
        "| a process's first task, of the median of its next five | time | CPU |",
        "|---|---|---|",
    ]
    took, cpu = [], []
    for kind in KINDS:
        its = [found[kind] for found in rounds]
        took.append(statistics.median(_ratio([it.took_s for it in tasks]) for tasks in its))
        cpu.append(statistics.median(_ratio([it.cpu_s for it in tasks]) for tasks in its))
        lines.append(f"| {kind} | {took[-1]:.2f} | {cpu[-1]:.2f} |")
    what = "the first task of a process, of the time of later ones: median; most"
    figure = f"{statistics.median(took):.2f}; {max(took):.2f} times"
    rows = [
        Row(what, figure, "≤ 1.2 times"),
        Row("the same: CPU", f"{statistics.median(cpu):.2f}; {max(cpu):.2f} times"),
    ]
    return Found(rows, lines)


def _ratio(figures: Sequence[float]) -> float:
    first, *others = figures
    return first / statistics.median(others)


def _round(system: System, stores: Mapping[str, str]) -> dict[str, list[Task]]:
    """Each kind's tasks, of a process that has just started."""
    found = {}
    for kind in KINDS:
        store, wire, text = kind.split()
        agent = real(system, wire, stores[store])
        time.sleep(SETTLES_S)
        found[kind] = asyncio.run(_tasks(system, agent, stream=text == "streamed"))
        system.children[-1].end()
    return found


async def _tasks(system: System, agent: Process, *, stream: bool) -> list[Task]:
    async with load(system.env["RABBITMQ_URL"]) as asking:
        return [await _task(asking, agent, stream) for _ in range(1 + NEXT)]


async def _task(load: Load, agent: Process, stream: bool) -> Task:
    began_s = used_s(agent.process)
    took_s = await load.ask(agent.exchange, agent.key, stream=stream)
    task = Task(took_s, used_s(agent.process) - began_s)
    await asyncio.sleep(SETTLES_S)
    return task
