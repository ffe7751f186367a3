"""A store with very many ended runs, as some weeks leave them."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from shared.contract.messages import Response, Status, Task, encode, response_id, run_id
from shared.store.runs.claim import freeze
from shared.store.schema import RunState, now_s, runs, steps

AGENTS = ("alice", "bob", "carol", "dave", "erin")
BATCH = 5_000
DEFINITION = "e" * 32
EVERY_S = 20.0
"""Between two claims."""
TEXT = """
the quarterly report of the office in Köln is late again and a clerk should ask why before the end
of the week since the board meets on Monday
"""
WORDS = TEXT.split()
NEEDLE = "Zanzibar"
"""A word that one run has, far back."""


def fill(connection: Connection, count: int) -> None:
    """Ended runs with a step each. One in a thousand has failed; one in a hundred has a session."""
    freeze(connection, DEFINITION, '{"definition": {"name": "alice"}}')
    now = connection.execute(select(now_s())).scalar_one()
    for first in range(0, count, BATCH):
        rows = [
            _run(it, now - (count - it) * EVERY_S) for it in range(first, min(first + BATCH, count))
        ]
        connection.execute(insert(runs), rows)
        connection.execute(insert(steps), [*_steps(rows)])


def _run(number: int, claimed_at: float) -> dict[str, object]:
    agent, task_id = AGENTS[number % len(AGENTS)], f"task-{number}"
    run = run_id(agent, task_id)
    status = Status.FAILED if number % 1000 == 7 else Status.OK
    session = f"session-{number // 1000}" if number % 100 == 3 else None
    said = " ".join(WORDS[(number + it) % len(WORDS)] for it in range(60))
    said += f" number {number}" + (f" {NEEDLE}" if number == 1234 else "")
    task = Task(id=task_id, content=said, session=session)
    response = Response(
        id=response_id(run), task_id=task_id, agent=agent, status=status, content=f"Done: {said}"
    )
    return {
        "run_id": run,
        "agent": agent,
        "task_id": task_id,
        "kind": "task",
        "content_hash": "c" * 32,
        "message": encode(task).decode(),
        "definition": DEFINITION,
        "notes": "[]",
        "root_id": task_id,
        "deadline_at": claimed_at + 600,
        "state": RunState.ENDED,
        "due_at": claimed_at,
        "fence": 1,
        "attempts": 0,
        "epoch": 1,
        "claimed_at": claimed_at,
        "ended_at": claimed_at + 5,
        "status": status,
        "response": encode(response).decode(),
        "session": session,
    }


def _steps(rows: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    for row in rows:
        yield {
            "run_id": row["run_id"],
            "epoch": 1,
            "turn": 1,
            "position": 0,
            "kind": "model",
            "name": "turn",
            "output": '{"content": "Done.", "usage": {"model_calls": 1, "input_tokens": 900}}',
            "finished_at": row["ended_at"],
            "seconds": 4.9,
        }
