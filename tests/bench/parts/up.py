"""`hutch up` with ten agents beside one: until all are ready, and what an idle agent costs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from shared.contract.topology import TASKS
from tests.bench.costs import Agents, a_second, of_agents
from tests.bench.load import PATIENCE_S, load, used_s
from tests.bench.rig import Found, Rig, Row
from tests.bench.subjects.agents import define, endpoint, new_store
from tests.support.processes.running import System
from tests.support.repository import REPOSITORY

TEN = [f"a{number}" for number in range(10)]
SETTLES_S = 3.0
IDLE_S = 10.0


@dataclass(frozen=True)
class Start:
    """Of the command and all its processes, until all agents consume."""

    took_s: float
    cpu_s: float


@dataclass(frozen=True)
class Round:
    one: Start
    ten: Start
    pss_mb: float
    idle_ms: float
    """Of one of the ten, idle: its CPU in a second."""


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, *TEN)
        endpoint(system)
        system.env |= {"HUTCH_STORE": new_store(system, "up"), "PYTHONPATH": str(REPOSITORY)}
        system.cwd = system.logs  # `up` keeps its files where it is started
        rounds = [_round(system) for _ in rig.rounds()]
    took = statistics.median(it.ten.took_s / it.one.took_s for it in rounds)
    cpu = statistics.median(it.ten.cpu_s / it.one.cpu_s for it in rounds)
    ten_s = statistics.median(it.ten.took_s for it in rounds)
    pss_mb = statistics.median(it.pss_mb for it in rounds)
    idle_ms = statistics.median(it.idle_ms for it in rounds)
    return Found(
        [
            Row(
                "`hutch up` with ten agents until all are ready, of one agent's time",
                f"{took:.1f} times ({ten_s:.1f} s)",
                "≤ 2 times",
            ),
            Row("the same: CPU of all processes", f"{cpu:.1f} times"),
            Row("an idle agent under `hutch up`: memory (PSS)", f"{pss_mb:.0f} MB", "≤ 25 MB"),
            Row("the same: CPU", f"{idle_ms:.1f} ms a second", "≤ 4 ms"),
        ]
    )


def _round(system: System) -> Round:
    one = _start(system, TEN[:1])
    system.children[-1].end()
    ten = _start(system, TEN)
    idle, used = asyncio.run(_idle(system))
    system.children[-1].end()
    return Round(one, ten, idle.pss_mb / len(TEN), used.cpu_s / len(TEN) * 1000)


def _start(system: System, names: Sequence[str]) -> Start:
    began = time.monotonic()
    child = system.start("services.cli", "up", *names)
    for name in names:
        child.wait_for(rf'{name} +\| .*"consuming"', PATIENCE_S)
    took_s = time.monotonic() - began
    return Start(took_s, sum(used_s(it) for it in _processes(system)))


async def _idle(system: System) -> tuple[Agents, Agents]:
    """The memory of the ten agents, after a task each, and their use in a second."""
    async with load(system.env["RABBITMQ_URL"]) as asking:
        await asyncio.gather(*(asking.ask(TASKS, name) for name in TEN))
    pids = [it.pid for it in _processes(system) if "services.agent" in " ".join(it.cmdline())]
    assert len(pids) == len(TEN), "one process for each agent"
    await asyncio.sleep(SETTLES_S)
    before = of_agents(pids)
    await asyncio.sleep(IDLE_S)
    after = of_agents(pids)
    return after, a_second(before, after)


def _processes(system: System) -> list[psutil.Process]:
    """The newest command's, and the command."""
    command = psutil.Process(system.children[-1].process.pid)
    return [command, *command.children(recursive=True)]
