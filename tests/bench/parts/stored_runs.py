"""Stores that have been in use for long: 100,000 ended runs, kept or to be forgotten."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from shared.contract.messages import Response, Status, encode, response_id, run_id
from shared.store import open_store
from shared.store.database.engine import create
from shared.store.schema import RunState, definitions, now_s, requesters, runs, steps
from tests.bench.load import Figures, Load, load
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process, alternating, ratio
from tests.bench.subjects.agents import define, new_store, stubbed
from tests.bench.subjects.stubbed import SAID
from tests.support.processes.running import System

FEW, MANY = 1_000, 100_000
AT_ONCE = 64
DAY_S = 24 * 3600.0
OLD_S = 40 * DAY_S
"""Ended so long ago that an agent forgets it at its start."""
BATCH = 10_000
DEFINITION = "d" * 32


def measure(rig: Rig) -> Found:
    with rig.system() as system:
        define(system, "few", "many", "forgetting")
        urls = {name: new_store(system, name) for name in ("few", "many", "forgetting")}
        fill(urls["few"], "few", FEW, age_s=0)
        fill(urls["many"], "many", MANY, age_s=0)
        fill(urls["forgetting"], "forgetting", MANY, age_s=OLD_S)
        few, many = (stubbed(system, name, urls[name]) for name in ("few", "many"))
        return asyncio.run(_measured(system, rig, few, many, urls["forgetting"]))


def fill(url: str, agent: str, count: int, age_s: float) -> None:
    """Ended runs as an agent leaves them: a step and a requester each."""

    def write(connection: Connection) -> None:
        connection.execute(insert(definitions).values(hash=DEFINITION, body="{}"))
        ended_at = connection.execute(select(now_s())).scalar_one() - age_s
        for first in range(0, count, BATCH):
            numbers = range(first, min(first + BATCH, count))
            filled = [_run(agent, f"old-{number}", ended_at) for number in numbers]
            ids = [str(row["run_id"]) for row in filled]
            connection.execute(insert(runs), filled)
            connection.execute(insert(steps), [_step(it, ended_at) for it in ids])
            asked = {"reply_to": "reply.bench", "correlation_id": "c"}
            connection.execute(insert(requesters), [{"run_id": it} | asked for it in ids])

    async def filled() -> None:
        database = create(url)
        await database.run(write, writes=True)
        await database.close()

    asyncio.run(filled())


def _run(agent: str, task_id: str, ended_at: float) -> dict[str, object]:
    run = run_id(agent, task_id)
    response = Response(
        id=response_id(run), task_id=task_id, agent=agent, status=Status.OK, content="Done."
    )
    return {
        "run_id": run,
        "agent": agent,
        "task_id": task_id,
        "kind": "task",
        "content_hash": "c" * 32,
        "message": '{"content":"Sum up what the office has done today."}',
        "definition": DEFINITION,
        "notes": "[]",
        "root_id": task_id,
        "deadline_at": ended_at,
        "state": RunState.ENDED,
        "due_at": ended_at,
        "fence": 1,
        "attempts": 0,
        "epoch": 1,
        "claimed_at": ended_at,
        "ended_at": ended_at,
        "status": Status.OK,
        "response": encode(response).decode(),
    }


def _step(run: str, finished_at: float) -> dict[str, object]:
    return {
        "run_id": run,
        "epoch": 1,
        "turn": 1,
        "position": 0,
        "kind": "model",
        "name": "turn",
        "output": SAID.model_dump_json(),
        "finished_at": finished_at,
    }


async def _measured(system: System, rig: Rig, few: Process, many: Process, store: str) -> Found:
    """An agent forgets what `store` holds, while `many` is measured beside it."""
    async with load(system.env["RABBITMQ_URL"]) as asking:
        rounds = await alternating(asking, [few, many], rig, AT_ONCE)
        cpu = ratio(rounds["many"], rounds["few"], lambda it: it.cpu_ms)
        busy = stubbed(system, "forgetting", store)
        during, beside = await _forgetting(asking, rig, busy, store, many)
    rate = ratio(during, beside, lambda it: it.rate)
    what = f"{MANY:,} stored runs beside {FEW:,}: CPU a task"
    return Found(
        [
            Row(what, f"{cpu - 1:+.0%}", "≤ +5 %"),
            Row("deleting old runs meanwhile: tasks a second", f"{rate - 1:+.0%}", "≥ -10 %"),
        ]
    )


async def _forgetting(
    load: Load, rig: Rig, busy: Process, store: str, calm: Process
) -> tuple[list[Figures], list[Figures]]:
    """Rounds while `busy` deletes runs, and, in turn, of `calm` while nothing is deleted.

    `busy` is frozen while `calm` is measured, for a fair comparison. Fails if all was deleted
    before the last round: there was nothing to measure.
    """
    during, beside = [], []
    for _ in rig.rounds():
        with frozen(busy.process):
            beside.append(await calm.round(load, rig.lasts_s, AT_ONCE))
        during.append(await busy.round(load, rig.lasts_s, AT_ONCE))
    assert await _old(store), "all was deleted before the last round ended"
    return during, beside


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


async def _old(url: str) -> int:
    query = select(func.count()).where(runs.c.definition == DEFINITION)
    async with open_store(url) as store:
        return await store.read(lambda connection: connection.execute(query).scalar_one())
