"""The journal: finished steps of a run, committed before the next begins."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection

from shared.store.dialect import insert_new
from shared.store.runs import Run, change, lock
from shared.store.schema import now_s, steps
from shared.store.starts import Start, doubtful


@dataclass(frozen=True)
class Step:
    """Where a step stands in its run: position 0 is the turn's model call, then its calls."""

    turn: int
    position: int
    kind: str
    name: str
    output: str


@dataclass(frozen=True)
class Resumed:
    """What a run goes on from; `now` is the store's time, `doubtful` what must not be repeated."""

    steps: list[Step]
    doubtful: list[Start]
    now: float


def steps_of(connection: Connection, run: Run) -> list[Step]:
    """The finished steps of a run, in order; those of earlier epochs count: each stands once."""
    query = (
        select(steps.c.turn, steps.c.position, steps.c.kind, steps.c.name, steps.c.output)
        .where(steps.c.run_id == run.run_id)
        .order_by(steps.c.turn, steps.c.position)
    )
    return [
        Step(row.turn, row.position, row.kind, row.name, row.output)
        for row in connection.execute(query)
    ]


def write_step(connection: Connection, run: Run, step: Step) -> None:
    """Commit a finished step; again the same one, as after an unknown commit, changes nothing.

    A run that gets on is no suspect, and its model is not away: the attempts and failures that
    it took to get here are forgotten.
    """
    if run.attempts or run.failures:
        change(connection, run, {"attempts": 0, "failures": 0})
    else:
        lock(connection, run)
    fields = {"run_id": run.run_id, "epoch": run.epoch, **vars(step)}
    insert_new(connection, steps, fields, stamp="finished_at")


def resumed(connection: Connection, run: Run) -> Resumed:
    """For whoever has taken a run over."""
    now = connection.execute(select(now_s())).scalar_one()
    return Resumed(steps_of(connection, run), doubtful(connection, run.run_id), now)
