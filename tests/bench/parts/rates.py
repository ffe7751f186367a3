"""Tasks a second: agents on both stores and with a real client, beside a bare echo and DBOS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace

from shared.store.database.migrate import migrate
from tests.bench.load import Figures, load
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process, Subject, alternating, median, ratio
from tests.bench.subjects import durable
from tests.bench.subjects.agents import (
    check,
    define,
    echo,
    endpoint,
    new_store,
    real,
    stubbed,
)
from tests.support.processes.running import System

Rounds = Mapping[str, Sequence[Figures]]

AT_ONCE = (64, 1)
ECHO, DBOS = "bare echo", durable.NAME
SQLITE, POSTGRESQL, CLIENT = "SQLite", "PostgreSQL", "client (SQLite)"
TARGETS = {SQLITE: "≥ 0.6", POSTGRESQL: "≥ 0.45", CLIENT: "≥ 0.25"}
"""Of the echo's rate, with 64 tasks at once."""


def measure(rig: Rig) -> Found:
    rounds = measured(rig, AT_ONCE, beside_dbos=durable.installed())
    most = rounds[AT_ONCE[0]]
    rows = [
        Row(f"tasks a second, 64 at once, of the echo's: {name}", _of(most, name, ECHO), target)
        for name, target in TARGETS.items()
    ]
    if DBOS in most:
        cpu = ratio(most[POSTGRESQL], most[DBOS], lambda it: it.cpu_ms)
        rows += [
            Row(
                "tasks a second, 64 at once, of DBOS's: PostgreSQL",
                f"{_of(most, POSTGRESQL, DBOS)} times",
                "≥ 4 times",
            ),
            Row("the same: CPU a task, of DBOS's client and worker", f"{cpu:.2f}"),
        ]
    else:
        rows.append(Row(durable.MISSING, ""))
    return Found(rows, table(rounds), cpu_ratios(most))


def measured(
    rig: Rig, at_once: Sequence[int], *, beside_dbos: bool
) -> dict[int, dict[str, list[Figures]]]:
    """The rounds by the number of tasks under way.

    Fails unless each agent's store holds as many ended runs and steps as tasks were answered.
    """
    with ExitStack() as stack:
        system = stack.enter_context(rig.system())
        postgresql = stack.enter_context(rig.postgresql.database())
        agents = _agents(system, postgresql)
        echoing = echo(system)
        dbos_url = stack.enter_context(rig.postgresql.database()) if beside_dbos else None

        async def all_rounds() -> dict[int, dict[str, list[Figures]]]:
            subjects: list[Subject] = [echoing, *agents.values()]
            async with AsyncExitStack() as opened:
                asking = await opened.enter_async_context(load(system.env["RABBITMQ_URL"]))
                if dbos_url:
                    dbos = durable.dbos(system, dbos_url)
                    subjects.append(await opened.enter_async_context(dbos))
                found = {it: await alternating(asking, subjects, rig, it) for it in at_once}
            for store, agent in agents.items():
                await check(store, agent.answered)
            return found

        return asyncio.run(all_rounds())


def _agents(system: System, postgresql: str) -> dict[str, Process]:
    """By the addresses of their stores."""
    asyncio.run(migrate(postgresql))
    sqlite, client = new_store(system, "sqlite"), new_store(system, "client")
    define(system, "sqlite", "postgresql", "client")
    endpoint(system)
    return {
        sqlite: replace(stubbed(system, "sqlite", sqlite), name=SQLITE),
        postgresql: replace(stubbed(system, "postgresql", postgresql), name=POSTGRESQL),
        client: replace(real(system, "client", client), name=CLIENT),
    }


def cpu_ratios(rounds: Rounds) -> dict[str, float]:
    """The echo's CPU per task, as a part of each agent's: it hardly depends on what else the
    machine does, and falls when an agent gets slower."""
    return {
        name: ratio(rounds[ECHO], rounds[name], lambda it: it.cpu_ms)
        for name in (SQLITE, POSTGRESQL, CLIENT)
    }


def table(found: Mapping[int, Rounds]) -> list[str]:
    lines = [
        "| | at once | a second | of the echo | p50 ms | p99 ms | CPU ms a task |",
        "|---|---|---|---|---|---|---|",
    ]
    for at_once, rounds in found.items():
        for name, its in rounds.items():
            cells = [
                name,
                str(at_once),
                f"{median(its, lambda it: it.rate):.0f}",
                _of(rounds, name, ECHO),
                f"{median(its, lambda it: it.p50_ms):.1f}",
                f"{median(its, lambda it: it.p99_ms):.1f}",
                f"{median(its, lambda it: it.cpu_ms):.2f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _of(rounds: Rounds, name: str, other: str) -> str:
    return f"{ratio(rounds[name], rounds[other], lambda it: it.rate):.2f}"
