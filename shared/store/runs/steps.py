"""The journal: the finished steps of a run, each committed before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from shared.store.database.dialect import insert_into
from shared.store.database.prepared import Prepared
from shared.store.processes.rate_queue import limit_text
from shared.store.processes.rate_tables import rate_waits
from shared.store.runs.approvals import Approval, requests_of
from shared.store.runs.run import OWNED, Run, change, lock, owned
from shared.store.runs.tool_starts import Start, doubtful
from shared.store.schema import now_s, runs, steps

DAMAGED_CHECK = "[the task can't be shown: the record of its check can't be read]"


@dataclass(frozen=True)
class Step:
    """A finished step. Position 0 is the turn's model call; tool and worker calls follow."""

    turn: int
    position: int
    kind: str
    name: str
    output: str
    seconds: float | None = None
    """How long its call took in the process that made it; None: not known, or not read."""


@dataclass(frozen=True)
class Resumed:
    """The journal of a run that is resumed; `doubtful` are calls that must not be repeated.

    `postponed_for` is the reason of its last failure to call its model, empty if a step has
    finished since. `waits_for` is the same for a shared limit.
    """

    steps: list[Step]
    doubtful: list[Start]
    now: float
    postponed_for: str = ""
    waits_for: str = ""
    approvals: Sequence[Approval] = ()


class _Verdict(BaseModel):
    """The part of a check's output that is read here."""

    text: str | None = None


def steps_of(connection: Connection, run: Run) -> list[Step]:
    """The finished steps of a run from all its epochs, in order; each step occurs once."""
    query = (
        select(steps.c.turn, steps.c.position, steps.c.kind, steps.c.name, steps.c.output)
        .where(steps.c.run_id == run.run_id)
        .order_by(steps.c.turn, steps.c.position)
    )
    return [
        Step(row.turn, row.position, row.kind, row.name, row.output)
        for row in connection.execute(query)
    ]


def changed_tasks(connection: Connection, run_ids: Sequence[str]) -> Mapping[str, str]:
    """The tasks that checks have changed, by their runs: those of turn 0 before its position 0.

    A step that can't be read may have changed its task: a sentence takes the task's place.
    """
    query = (
        select(steps.c.run_id, steps.c.output)
        .where(steps.c.run_id.in_(run_ids), steps.c.turn == 0, steps.c.position < 0)
        .order_by(steps.c.position)
    )
    found = {}
    for row in connection.execute(query):
        try:
            text = _Verdict.model_validate_json(row.output).text
        except ValueError:
            text = DAMAGED_CHECK
        if text is not None:
            found[row.run_id] = text
    return found


def write_step(connection: Connection, run: Run, step: Step) -> None:
    """Write a finished step; repeating it after an unknown commit changes nothing.

    Sets the run's attempts and failures to 0: a run with a new step is no suspect, and its model is
    available. Raises `RunLost`.
    """
    if run.attempts or run.failures:
        change(connection, run, {"attempts": 0, "failures": 0})
    fields = {"epoch": run.epoch, **vars(step), **owned(run)}
    if not _NEW_STEP.rows(connection, fields):
        lock(connection, run)  # raises if the run is lost; else the step was there already


def _new_step(dialect: str) -> ReturningInsert[tuple[str]]:
    """A statement that locks the run's row and inserts the step.

    It inserts no row if the run is lost or the step is there already.
    """
    given = [steps.c.epoch, steps.c.turn, steps.c.position, steps.c.kind, steps.c.name]
    given += [steps.c.output, steps.c.seconds]
    values = (bindparam(column.key, type_=column.type) for column in given)
    of_run = select(runs.c.run_id, now_s(), *values).where(*OWNED).with_for_update()
    columns = [steps.c.run_id, steps.c.finished_at, *given]
    insert = insert_into(dialect, steps).from_select(columns, of_run)
    return insert.on_conflict_do_nothing().returning(steps.c.run_id)


_NEW_STEP = Prepared(_new_step)


def resumed(connection: Connection, run: Run) -> Resumed:
    """The journal of a run that this process has taken, and the store's time."""
    waiting = rate_waits.c.model, rate_waits.c.reason
    of_run = (
        select(now_s().label("now"), runs.c.detail, *waiting)
        .outerjoin_from(runs, rate_waits, rate_waits.c.run_id == runs.c.run_id)
        .where(runs.c.run_id == run.run_id)
        .limit(1)
    )
    row = connection.execute(of_run).one()
    found = steps_of(connection, run), doubtful(connection, run.run_id)
    asked = requests_of(connection, run.run_id) if run.parked_at is not None else ()
    if row.model is not None:
        waits_for = limit_text(row.model, row.reason)
        return Resumed(*found, row.now, waits_for=waits_for, approvals=asked)
    postponed_for = (row.detail or "") if run.failures else ""
    return Resumed(*found, row.now, postponed_for, approvals=asked)
