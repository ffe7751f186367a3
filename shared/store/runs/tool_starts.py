"""Calls of tools that must not be made twice: their start is committed before they begin."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, select
from sqlalchemy.engine import Connection

from shared.store.database.dialect import insert_new
from shared.store.runs.run import Run, lock
from shared.store.schema import starts, steps


@dataclass(frozen=True)
class Start:
    """Where it stands in its run, as a `Step` says it; `arguments` is JSON."""

    turn: int
    position: int
    name: str
    arguments: str


def write_start(connection: Connection, run: Run, start: Start) -> None:
    """Again the same one, as after an unknown commit, changes nothing; raises `RunLost`."""
    lock(connection, run)
    fields = {"run_id": run.run_id, "epoch": run.epoch, **vars(start)}
    insert_new(connection, starts, fields, stamp="started_at")


def drop_start(connection: Connection, run: Run, start: Start) -> None:
    """The call was never made; raises `RunLost`."""
    lock(connection, run)
    forget_start(connection, run.run_id, start)


def forget_start(connection: Connection, run_id: str, start: Start) -> None:
    """Whoever calls this holds the run's row."""
    here = and_(starts.c.turn == start.turn, starts.c.position == start.position)
    connection.execute(delete(starts).where(starts.c.run_id == run_id, here))


def doubtful(connection: Connection, run_id: str) -> list[Start]:
    """Calls that began and have no result, of any epoch, in order.

    Of a run that somebody computes they are under way; of any other one, in doubt.
    """
    finished = exists().where(
        steps.c.run_id == starts.c.run_id,
        steps.c.turn == starts.c.turn,
        steps.c.position == starts.c.position,
    )
    query = (
        select(starts.c.turn, starts.c.position, starts.c.name, starts.c.arguments)
        .where(starts.c.run_id == run_id, ~finished)
        .order_by(starts.c.turn, starts.c.position)
    )
    return [Start(*row) for row in connection.execute(query)]
