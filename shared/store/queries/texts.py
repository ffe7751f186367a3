"""The texts of one run: its message, its response, and what its steps have put out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Json, TypeAdapter
from sqlalchemy import select
from sqlalchemy.engine import Connection

from shared.contract.rows import mended
from shared.store.queries.reports import BEGINNING, Instant
from shared.store.runs.run import Exchanges
from shared.store.schema import INTEGER_MAX, runs, steps


@dataclass(frozen=True)
class DoneStep:
    """A finished step; `output` is JSON, `position` 0 is the turn's model call."""

    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    output: str
    finished_at: Instant
    seconds: float | None = None
    damage: str = ""


@dataclass(frozen=True)
class Texts:
    """The texts of a run; `message` and `response` are bodies, `detail` is for operators."""

    message: str
    notes: Json[tuple[str, ...]]
    recalled: Json[Exchanges]
    response: str | None
    detail: str | None
    deadline_at: Instant
    definition: str
    """The hash of the agent's definition as the claim has frozen it."""
    steps: tuple[DoneStep, ...]
    damage: str = ""


_STEP, _TEXTS = TypeAdapter(DoneStep), TypeAdapter(Texts)
_BLANK: dict[str, object] = {
    "kind": "",
    "epoch": 0,
    "turn": 0,
    "position": 0,
    "name": "",
    "output": "{}",
    "seconds": None,
    "finished_at": BEGINNING,
    "message": "",
    "notes": "[]",
    "recalled": "[]",
    "response": None,
    "detail": None,
    "deadline_at": BEGINNING,
    "definition": "",
}


def done_steps(connection: Connection, run_id: str, first: int, last: int) -> Sequence[DoneStep]:
    """The finished steps of these turns, in order."""
    done = select(steps).where(steps.c.run_id == run_id, steps.c.turn.between(first, last))
    ordered = done.order_by(steps.c.epoch, steps.c.turn, steps.c.position)
    return [mended(_STEP, {**row}, _BLANK) for row in connection.execute(ordered).mappings()]


def run_texts(connection: Connection, run_id: str, *, with_steps: bool = True) -> Texts:
    query = select(
        runs.c.message,
        runs.c.notes,
        runs.c.recalled,
        runs.c.response,
        runs.c.detail,
        runs.c.deadline_at,
        runs.c.definition,
    )
    run = connection.execute(query.where(runs.c.run_id == run_id)).mappings().one()
    found = tuple(done_steps(connection, run_id, -INTEGER_MAX, INTEGER_MAX)) if with_steps else ()
    recalled = run["recalled"] or "[]"
    return mended(_TEXTS, {**run, "recalled": recalled, "steps": found}, _BLANK)
