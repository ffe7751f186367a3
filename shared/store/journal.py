"""The journal: finished steps of a run, committed before the next begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import Connection

from shared.store.dialect import upsert
from shared.store.runs import Run, lock
from shared.store.schema import now_s, steps


class StepKey(NamedTuple):
    """Where a step stands in its run: index 0 is the turn's model call, then its calls in order."""

    turn: int
    index: int


@dataclass(frozen=True)
class Step:
    key: StepKey
    kind: str
    name: str
    output: str


def steps_of(connection: Connection, run: Run) -> list[Step]:
    """The finished steps of a run's epoch, in order."""
    query = (
        select(steps.c.turn, steps.c.index, steps.c.kind, steps.c.name, steps.c.output)
        .where(steps.c.run_id == run.run_id, steps.c.epoch == run.epoch)
        .order_by(steps.c.turn, steps.c.index)
    )
    return [
        Step(StepKey(row.turn, row.index), row.kind, row.name, row.output)
        for row in connection.execute(query)
    ]


def write_step(connection: Connection, run: Run, step: Step) -> None:
    """Commit a finished step; again the same one, as after an unknown commit, changes nothing."""
    lock(connection, run.run_id, run.fence)
    statement = upsert(connection, steps).values(
        run_id=run.run_id,
        epoch=run.epoch,
        turn=step.key.turn,
        index=step.key.index,
        kind=step.kind,
        name=step.name,
        output=step.output,
        finished_at=now_s(),
    )
    connection.execute(statement.on_conflict_do_nothing())
