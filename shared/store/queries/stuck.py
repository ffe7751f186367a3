"""Runs that make no progress, for the operator. Like `reports`, this only reads."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from shared.store.schema import ACTIVE, RunState, now_s, runs

LATE_S = 60.0
"""A run that is due usually starts within a second."""


@dataclass(frozen=True)
class OwnedRuns:
    """The number of an agent's open runs that one process executes."""

    agent: str
    instance: str
    number: int


def late_runs(connection: Connection) -> dict[str, int]:
    """The number of runs by agent that have been due for `LATE_S`."""
    query = (
        select(runs.c.agent, func.count().label("number"))
        .where(ACTIVE, runs.c.state == RunState.DUE, runs.c.due_at < now_s() - LATE_S)
        .group_by(runs.c.agent)
    )
    return {row.agent: row.number for row in connection.execute(query)}


def owned_runs(connection: Connection) -> list[OwnedRuns]:
    """The open runs that have an owner, which may be dead."""
    query = (
        select(runs.c.agent, runs.c.owner, func.count())
        .where(ACTIVE, runs.c.owner.is_not(None))
        .group_by(runs.c.agent, runs.c.owner)
    )
    return [OwnedRuns(*row) for row in connection.execute(query)]
