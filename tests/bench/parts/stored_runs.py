"""Stores that have been in use for long: 100,000 ended runs, kept or to be forgotten."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from sqlalchemy import func, insert, select
from sqlalchemy.engine import Connection

from shared.contract.messages import Response, Status, encode, response_id, run_id
from shared.store import open_store
from shared.store.database.engine import create
from shared.store.schema import RunState, definitions, now_s, requesters, runs, steps
from tests.bench.load import Figures, Load
from tests.bench.rounds import ROUNDS, Subject, round_of, warm_up
from tests.bench.subjects.stubbed import SAID

FEW, MANY = 1_000, 100_000
TASKS, AT_ONCE = 1_000, 64
DAY_S = 24 * 3600.0
OLD_S = 40 * DAY_S
"""Ended so long ago that an agent forgets it at its start."""
BATCH = 10_000
DEFINITION = "d" * 32


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


@dataclass(frozen=True)
class Forgetting:
    """Rounds while ended runs are deleted, and while nothing is, in turn."""

    during: list[Figures]
    beside: list[Figures]
    deleted: int


async def forgetting(load: Load, busy: Subject, store: str, calm: Subject) -> Forgetting:
    """`busy` deletes what `store` holds; frozen while `calm` is measured, for a fair comparison.

    Fails when it is done before the last round: there was nothing to measure.
    """
    before = await _old(store)
    during, beside = [], []
    await warm_up(load, [calm, busy], AT_ONCE)
    for _ in range(ROUNDS):
        with frozen(busy.process):
            beside.append(await round_of(load, calm, TASKS, AT_ONCE))
        during.append(await round_of(load, busy, TASKS, AT_ONCE))
    left = await _old(store)
    assert left, "all was deleted before the last round ended"
    return Forgetting(during, beside, before - left)


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
