"""Starts of tool calls that must not be made twice, committed before the call is made."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, delete, exists, select
from sqlalchemy.engine import Connection

from shared.store.database.dialect import insert_new
from shared.store.runs.run import Run, lock
from shared.store.schema import starts, steps


@dataclass(frozen=True)
class Start:
    """The start of a call. `turn` and `position` are those of its `Step`; `arguments` is JSON."""

    turn: int
    position: int
    name: str
    arguments: str


def write_start(connection: Connection, run: Run, start: Start) -> None:
    """Write a start; repeating it after an unknown commit changes nothing. Raises `RunLost`."""
    lock(connection, run)
    fields = {"run_id": run.run_id, "epoch": run.epoch, **vars(start)}
    insert_new(connection, starts, fields, stamp="started_at")


def drop_start(connection: Connection, run: Run, start: Start) -> None:
    """Delete the start of a call that was not made. Raises `RunLost`."""
    lock(connection, run)
    delete_start(connection, run.run_id, start)


def delete_start(connection: Connection, run_id: str, start: Start) -> None:
    """Delete a start; the caller must have locked the run's row."""
    here = and_(starts.c.turn == start.turn, starts.c.position == start.position)
    connection.execute(delete(starts).where(starts.c.run_id == run_id, here))


def doubtful(connection: Connection, run_id: str) -> list[Start]:
    """The calls of all epochs that have started and have no result, in order.

    In a run that its owner computes, they are being made; in any other run, they are in doubt.
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
