"""Runs that make no progress, for the operator. Like `reports`, this only reads."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, func, select
from sqlalchemy.engine import Connection

from shared.store.processes.rate_tables import rate_limits, rate_waits
from shared.store.schema import ACTIVE, RunState, now_s, runs

LATE_S = 60.0
"""A run that is due usually starts within a second."""


@dataclass(frozen=True)
class OwnedRuns:
    """The number of an agent's open runs that one process executes."""

    agent: str
    instance: str
    number: int


@dataclass(frozen=True)
class LimitWait:
    """Open runs that wait for one of a model's limits, which all processes share."""

    model: str
    """The pattern in HUTCH_LIMITS."""
    limit: str
    runs: int
    longest_s: float
    """How long the first of them has waited."""
    cooled_s: float
    """For how long no process calls the model, because its endpoint has asked for that; or 0."""

    def __str__(self) -> str:
        number = f"{self.runs} run{'' if self.runs == 1 else 's'}"
        cooled = f"; no calls for {self.cooled_s:.0f} s" if self.cooled_s else ""
        waits = f"{'waits' if self.runs == 1 else 'wait'}, for up to {self.longest_s:.0f} s"
        return f"{number} {waits}, for the limit of model {self.model}: {self.limit}{cooled}"


def limit_waits(connection: Connection) -> list[LimitWait]:
    """The runs that wait for shared limits of models, by limit."""
    its, now = rate_waits.c, now_s()
    cooled = func.max(rate_limits.c.cooled_until) - now
    query = (
        select(its.model, its.reason, func.count(), now - func.min(its.since), cooled)
        .join_from(rate_waits, runs, and_(runs.c.run_id == its.run_id, runs.c.ended_at.is_(None)))
        .outerjoin(rate_limits, rate_limits.c.model == its.model)
        .where(its.reason != "")
        .group_by(its.model, its.reason)
        .order_by(its.model, its.reason)
    )
    return [
        LimitWait(model, reason, number, max(longest_s, 0.0), max(cooled_s or 0.0, 0.0))
        for model, reason, number, longest_s, cooled_s in connection.execute(query)
    ]


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
