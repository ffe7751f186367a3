"""Tasks a second beside a bare echo, and what else costs: `python -m tests.bench.throughput`.

One machine holds the load, the broker, the store and what is measured. Nothing else should run
beside it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.store.database.migrate import migrate
from tests.bench.broadcast import LISTENERS, broadcasts
from tests.bench.crowd import MODEL_S, crowds
from tests.bench.load import Figures, load
from tests.bench.rounds import ROUNDS, WARM_UP, alternating, median, ratio
from tests.bench.subjects import stored
from tests.bench.subjects.agents import check, define, echo, new_store, real, stubbed
from tests.support.brokers.rabbitmq import container, vhost
from tests.support.processes import running
from tests.support.processes.running import System
from tests.support.stores import postgresql as stores

TASKS_AT = {64: 1500, 1: 150}
"""Tasks in one round, by how many are under way at once: some two seconds each."""
say = Console(highlight=False).print


def rates(system: System, url: str, folder: Path, postgresql: str) -> None:
    asyncio.run(migrate(postgresql))
    urls = {name: new_store(folder, name) for name in ("sqlite", "client")}
    urls["postgresql"] = postgresql
    subjects = [
        echo(system),
        stubbed(system, "sqlite", urls["sqlite"]),
        stubbed(system, "postgresql", postgresql),
        real(system, "client", urls["client"]),
    ]

    async def measured() -> None:
        table = Table("", "at once", "a second", "of echo", "p50 ms", "p99 ms", "CPU ms")
        async with load(url) as asking:
            for at_once, tasks in TASKS_AT.items():
                rounds = await alternating(asking, subjects, tasks=tasks, at_once=at_once)
                add_rows(table, at_once, rounds)
        say(table)
        tasks = sum(WARM_UP + ROUNDS * tasks for tasks in TASKS_AT.values())
        for store in urls.values():
            await check(store, tasks)
        say(f"journals: {tasks} tasks, as many ended runs and steps in each store, none unsent")

    asyncio.run(measured())


def add_rows(table: Table, at_once: int, measured: dict[str, list[Figures]]) -> None:
    for name, rounds in measured.items():
        table.add_row(
            name,
            str(at_once),
            f"{median(rounds, lambda it: it.rate):.0f}",
            f"{ratio(rounds, measured['bare echo'], lambda it: it.rate):.2f}",
            f"{median(rounds, lambda it: it.p50_ms):.1f}",
            f"{median(rounds, lambda it: it.p99_ms):.1f}",
            f"{median(rounds, lambda it: it.cpu_ms):.2f}",
        )


def crowd(system: System, url: str, folder: Path) -> None:
    subject = stubbed(system, "crowd", new_store(folder, "crowd"), BENCH_MODEL_S=str(MODEL_S))

    async def measured() -> None:
        async with load(url) as asking:
            rounds = await crowds(asking, subject)
        wall_s = statistics.median(it.wall_s for it in rounds)
        first, most_mb = rounds[0], max(it.most_mb for it in rounds)
        say(
            f"1,000 runs that wait {MODEL_S:.0f} s for a model, in one process: "
            f"median {wall_s:.2f} s; {first.idle_mb:.0f} MB before, {most_mb:.0f} MB at most, "
            f"{first.kb_a_run:.0f} kB a run"
        )

    asyncio.run(measured())


def swarm(system: System, url: str, folder: Path) -> None:
    store = new_store(folder, "swarm")
    listeners = [f"peer{number}" for number in range(1, LISTENERS + 1)]
    speaker, *_ = [stubbed(system, name, store) for name in ("speaker", *listeners)]

    async def measured() -> None:
        async with load(url) as asking:
            rounds = await broadcasts(url, asking, speaker)
        answered_ms = statistics.median(it.answered_ms for it in rounds)
        noted_ms = statistics.median(it.noted_ms for it in rounds)
        say(
            f"a broadcast to {LISTENERS} agents: answered after {answered_ms:.0f} ms, "
            f"noted by all of them after {noted_ms:.0f} ms"
        )

    asyncio.run(measured())


def age(system: System, url: str, folder: Path) -> None:
    urls = {name: new_store(folder, name) for name in ("few", "many", "forgetting")}
    stored.fill(urls["few"], "few", stored.FEW, age_s=0)
    stored.fill(urls["many"], "many", stored.MANY, age_s=0)
    stored.fill(urls["forgetting"], "forgetting", stored.MANY, age_s=stored.OLD_S)
    few, many = (stubbed(system, name, urls[name]) for name in ("few", "many"))

    async def measured() -> None:
        async with load(url) as asking:
            rounds = await alternating(
                asking, [few, many], tasks=stored.TASKS, at_once=stored.AT_ONCE
            )
            compared(
                f"{stored.MANY:,} stored runs beside {stored.FEW:,}", rounds["many"], rounds["few"]
            )
            busy = stubbed(system, "forgetting", urls["forgetting"])
            found = await stored.forgetting(asking, busy, urls["forgetting"], many)
        compared(f"{found.deleted:,} runs forgotten meanwhile", found.during, found.beside)

    asyncio.run(measured())


def compared(what: str, these: Sequence[Figures], those: Sequence[Figures]) -> None:
    rate = ratio(these, those, lambda it: it.rate)
    cpu = ratio(these, those, lambda it: it.cpu_ms)
    say(f"{what}: {rate - 1:+.0%} tasks a second, {cpu - 1:+.0%} CPU a task")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        container() as server,
        stores.server() as postgresql,
        postgresql.database() as database,
        vhost(server) as rabbit,
    ):
        folder = Path(name)
        agents = folder / "agents"
        agents.mkdir()
        for agent in ("sqlite", "postgresql", "client", "crowd", "few", "many", "forgetting"):
            define(agents, agent)
        for agent in ("speaker", *(f"peer{number}" for number in range(1, LISTENERS + 1))):
            define(agents, agent, swarm="office")
        say(f"RabbitMQ {server.version}, PostgreSQL {postgresql.version}")
        with running.system(rabbit.url, folder, agents) as system:
            rates(system, rabbit.url, folder, database)
        for part in (crowd, swarm, age):
            with running.system(rabbit.url, folder, agents) as system:
                part(system, rabbit.url, folder)


if __name__ == "__main__":
    main()
