"""The cost of idle agents: `python -m tests.bench.idle [AGENTS …]`, else 1, 10 and 100.

Each agent is a process of its own, on RabbitMQ and PostgreSQL in containers, the most of them
once more on SQLite. They start together, get a task each, are left alone, and get a task each
again. Prints the table of docs/scaling.md. Nothing else should run beside it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from shared.contract.topology import TASKS
from shared.store.database.migrate import migrate
from tests.bench import costs
from tests.bench.costs import a_second, beyond, more
from tests.bench.load import load
from tests.bench.subjects.agents import define, new_store
from tests.support.brokers.rabbitmq import Server, container, vhost
from tests.support.processes import running
from tests.support.processes.running import Child
from tests.support.stores import postgresql as stores
from tests.support.stores.postgresql import Postgres

COUNTS = (1, 10, 100)
REACH = 1000
"""Computed from the two measurements: more than a small machine holds."""
IDLE_S = 20.0
PATIENCE_S = 300.0
"""For a hundred agents that start at once on two cores, in any order."""
CONNECTIONS = 400
"""PostgreSQL's `max_connections`: three for each of a hundred agents, and some."""
say = Console(highlight=False, soft_wrap=True).print


@dataclass(frozen=True)
class Measured:
    """Of so many agents: what they hold, what they have added to broker and store, and what all
    three use a second while nothing is done."""

    agents: int
    held: costs.Agents
    used: costs.Agents
    broker: costs.Broker
    broker_used: costs.Broker
    store: costs.Store | None
    store_used: costs.Store | None
    ready_s: float = 0.0
    start_cpu_s: float = 0.0
    first_s: float = 0.0
    again_s: float = 0.0


def computed(few: Measured, many: Measured, agents: int) -> Measured:
    """So many, on the straight line through two measurements; times of starts are left out."""
    factor = (agents - many.agents) / (many.agents - few.agents)
    assert few.store
    assert few.store_used
    assert many.store
    assert many.store_used
    return Measured(
        agents,
        beyond(few.held, many.held, factor),
        beyond(few.used, many.used, factor),
        beyond(few.broker, many.broker, factor),
        beyond(few.broker_used, many.broker_used, factor),
        beyond(few.store, many.store, factor),
        beyond(few.store_used, many.store_used, factor),
    )


def measure(count: int, server: Server, postgresql: Postgres | None) -> Measured:
    names = [f"a{number}" for number in range(count)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        rabbit = stack.enter_context(vhost(server))
        url = stack.enter_context(postgresql.database()) if postgresql else None
        agents = folder / "agents"
        agents.mkdir()
        system = stack.enter_context(running.system(rabbit.url, folder, agents))
        define(system, *names)
        if url:
            asyncio.run(migrate(url))
        system.env["HUTCH_STORE"] = url or new_store(system, "idle")
        system.model()

        def held() -> tuple[costs.Broker, costs.Store | None]:
            store = costs.of_store(postgresql, url) if postgresql and url else None
            return costs.of_broker(server.ctl), store

        broker_alone, store_alone = held()
        began = time.monotonic()
        children = [system.start("services.agent", name) for name in names]
        for child in children:
            child.wait_for("consuming", PATIENCE_S)
        ready_s = time.monotonic() - began
        start_cpu_s = of(children).cpu_s
        first_s = asyncio.run(answered_s(rabbit.url, names))
        time.sleep(IDLE_S / 5)
        agents_before, (broker_before, store_before) = of(children), held()
        time.sleep(IDLE_S)
        agents_then, (broker_then, store_then) = of(children), held()
        return Measured(
            count,
            agents_then,
            a_second(agents_before, agents_then),
            more(broker_alone, broker_then),
            a_second(broker_before, broker_then),
            more(store_alone, store_then) if store_alone and store_then else None,
            a_second(store_before, store_then) if store_before and store_then else None,
            ready_s,
            start_cpu_s,
            first_s,
            again_s=asyncio.run(answered_s(rabbit.url, names)),
        )


def of(children: Sequence[Child]) -> costs.Agents:
    return costs.of_agents(child.process.pid for child in children)


async def answered_s(url: str, names: Sequence[str]) -> float:
    """From the first of the questions, one to each, to the last answer."""
    async with load(url) as asking:
        began = time.monotonic()
        await asyncio.gather(*(asking.ask(TASKS, name) for name in names))
        return time.monotonic() - began


def each(total: float, it: Measured, digits: int = 0) -> str:
    return f"{total / it.agents:.{digits}f}"


def seconds(took_s: float, digits: int = 1) -> str:
    return f"{took_s:.{digits}f}" if took_s else ""


def stored(show: Callable[[costs.Store, costs.Store], str]) -> Callable[[Measured], str]:
    """The store's memory and use, where it is a server."""
    return lambda it: show(it.store, it.store_used) if it.store and it.store_used else ""


ROWS: dict[str, Callable[[Measured], str]] = {
    "started together, until all consume: s": lambda it: seconds(it.ready_s),
    "CPU of one start: s": lambda it: seconds(it.start_cpu_s / it.agents, 2),
    "then a task each at once, until all are answered: s": lambda it: seconds(it.first_s),
    "the same after the idle time: s": lambda it: seconds(it.again_s, 2),
    "an agent: CPU, ms a second": lambda it: each(it.used.cpu_s * 1000, it, 1),
    "an agent: memory, MB (PSS; RSS)": lambda it: (
        f"{each(it.held.pss_mb, it)}; {each(it.held.rss_mb, it)}"
    ),
    "an agent: written, kB a second": lambda it: each(it.used.written_mb * 1024, it, 1),
    "broker: CPU, ms a second": lambda it: f"{it.broker_used.cpu_s * 1000:.0f}",
    "broker: memory, MB more": lambda it: f"{it.broker.memory_mb:.0f}",
    "broker: connections; channels": lambda it: (
        f"{it.broker.connections:.0f}; {it.broker.channels:.0f}"
    ),
    "broker: queues; open files": lambda it: f"{it.broker.queues:.0f}; {it.broker.files:.0f}",
    "broker: messages a second": lambda it: f"{it.broker_used.messages:.1f}",
    "store: CPU, ms a second": stored(lambda _, used: f"{used.cpu_s * 1000:.0f}"),
    "store: memory, MB more": stored(lambda held, _: f"{held.memory_mb:.0f}"),
    "store: connections": stored(lambda held, _: f"{held.connections:.0f}"),
    "store: transactions a second": stored(lambda _, used: f"{used.commits:.0f}"),
    "store: WAL, kB a second; flushes a second": stored(
        lambda _, used: f"{used.wal_mb * 1024:.1f}; {used.syncs:.1f}"
    ),
}


def main() -> None:
    counts = sorted(int(count) for count in sys.argv[1:]) or list(COUNTS)
    with container() as server, stores.server(max_connections=CONNECTIONS) as postgresql:
        say(f"RabbitMQ {server.version}, PostgreSQL {postgresql.version}")
        columns = {str(count): measure(count, server, postgresql) for count in counts}
        on_sqlite = measure(counts[-1], server, None)
    if len(counts) > 1:
        few, many = (columns[str(count)] for count in counts[-2:])
        columns[f"{REACH:,}, computed"] = computed(few, many, REACH)
    columns[f"{counts[-1]} on SQLite"] = on_sqlite
    say(f"| agents | {' | '.join(columns)} |")
    say("|---" * (len(columns) + 1) + "|")
    for name, show in ROWS.items():
        say(f"| {name} | {' | '.join(show(it) for it in columns.values())} |")


if __name__ == "__main__":
    main()
