"""The processes that are measured: agents on stores of their own, and the bare echo."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.schema import RunState, outbox, runs, steps
from tests.bench.load import PATIENCE_S
from tests.bench.rounds import Process
from tests.support.processes.running import Child, System

CONCURRENCY = 1000
"""Only the load decides how much is under way."""
DRAIN_S = 10.0
POLL_S = 0.1


def define(system: System, *names: str, **fields: object) -> None:
    for name in names:
        definition = {"name": name, "limits": {"concurrency": CONCURRENCY}} | fields
        file = Path(system.env["HUTCH_AGENTS"]) / f"{name}.yaml"
        file.write_text(json.dumps(definition), "utf-8")


def new_store(system: System, name: str) -> str:
    """A SQLite store, migrated."""
    url = f"sqlite:///{system.logs / name}.db"
    asyncio.run(migrate(url))
    return url


def stubbed(system: System, name: str, store: str, **env: str) -> Process:
    """An agent whose model answers in process."""
    return _consuming(
        system.start("tests.bench.subjects.stubbed", name, HUTCH_STORE=store, **env), name
    )


def real(system: System, name: str, store: str) -> Process:
    """An agent with the `openai` client; `endpoint` has been called before."""
    return _consuming(system.start("services.agent", name, HUTCH_STORE=store), name)


def endpoint(system: System) -> None:
    """A model's endpoint that answers at once, for agents that start later."""
    served = system.start("tests.bench.subjects.endpoint").wait_for(r"serving (\S+)")
    system.env["OPENAI_BASE_URL"] = served[1]


def echo(system: System) -> Process:
    child = system.start("tests.bench.subjects.echo", "echo")
    child.wait_for("consuming")
    return Process(psutil.Process(child.process.pid), "echo", "bare echo", exchange="")


def _consuming(child: Child, name: str) -> Process:
    child.wait_for("consuming", PATIENCE_S)
    return Process(psutil.Process(child.process.pid), name, name)


async def check(store_url: str, tasks: int) -> None:
    """Counts the journal's rows against the tasks that were answered.

    A step for each, each ended, nothing left to be sent: otherwise its rate means nothing.
    """
    wanted = {"ended": tasks, "steps": tasks, "unsent": 0}
    async with open_store(store_url) as store, asyncio.timeout(DRAIN_S):
        while (found := await store.read(_count)) != wanted:
            assert found["ended"] <= tasks, f"{found}, not {wanted}"
            await asyncio.sleep(POLL_S)


def _count(connection: Connection) -> dict[str, int]:
    queries = {
        "ended": select(func.count()).where(runs.c.state == RunState.ENDED),
        "steps": select(func.count()).select_from(steps),
        "unsent": select(func.count()).select_from(outbox),
    }
    return {name: connection.execute(query).scalar_one() for name, query in queries.items()}
