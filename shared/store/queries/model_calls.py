"""The model calls of runs, for their costs. Like `reports`, this only reads and locks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection

from shared.store.schema import definitions, runs, steps

MOST_AT_ONCE = 500
"""The most values in one statement."""


@dataclass(frozen=True)
class ModelCall:
    """A finished model call; `output` is JSON. `finished_at` is in seconds since the epoch."""

    run_id: str
    epoch: int
    turn: int
    position: int
    output: str
    finished_at: float
    definition: str
    """The JSON of the snapshot that the run's claim has frozen."""


@dataclass(frozen=True)
class Relative:
    """A run's place in its tree."""

    run_id: str
    task_id: str
    root_id: str
    parent_id: str | None


def relatives(connection: Connection, root_ids: Sequence[str]) -> list[Relative]:
    """All runs of these trees."""
    columns = select(runs.c.run_id, runs.c.task_id, runs.c.root_id, runs.c.parent_id)
    return [
        Relative(*row)
        for some in _portions(root_ids)
        for row in connection.execute(columns.where(runs.c.root_id.in_(some)))
    ]


def model_calls(connection: Connection, run_ids: Sequence[str]) -> list[ModelCall]:
    """The model calls of these runs, in all their epochs; each was paid for."""
    bodies: dict[str, str] = {}
    found: list[ModelCall] = []
    for some in _portions(run_ids):
        used = select(runs.c.definition).where(runs.c.run_id.in_(some))
        frozen = select(definitions.c.hash, definitions.c.body).where(definitions.c.hash.in_(used))
        bodies |= {row.hash: row.body for row in connection.execute(frozen)}
        made = (
            select(
                steps.c.run_id,
                steps.c.epoch,
                steps.c.turn,
                steps.c.position,
                steps.c.output,
                steps.c.finished_at,
                runs.c.definition,
            )
            .join_from(steps, runs, steps.c.run_id == runs.c.run_id)
            .where(steps.c.run_id.in_(some), steps.c.kind == "model")
            .order_by(steps.c.run_id, steps.c.epoch, steps.c.turn, steps.c.position)
        )
        rows = connection.execute(made).mappings()
        found += [
            ModelCall(**{**it, "definition": bodies.get(it["definition"], "")}) for it in rows
        ]
    return found


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), MOST_AT_ONCE):
        yield ids[start : start + MOST_AT_ONCE]
