"""The queue of the runs that wait for a shared limit of a model.

Interactive work goes first, and agents take turns: the rank of a new run is behind that of its own
agent's last run and that of the run that was served last, whatever the other agents wait for. The
caller has locked the model's name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import BigInteger, and_, case, cast, delete, exists, func, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.priority import BACKGROUND_WAIT_S, Priority
from shared.store.database.dialect import upsert
from shared.store.processes.rate_tables import rate_waits
from shared.store.schema import RunState, runs

GRACE_S = 5.0
"""How long a run may be late when it is its turn. Then it, and its agent's other runs, are passed
over until it asks: the agent is paused, has no free slot, or has no process."""


@dataclass(frozen=True)
class LeaseRequest:
    """A run that wants to call the model; `tokens` is an estimate for request and reply."""

    lease_id: str
    run_id: str
    priority: Priority
    tokens: int


class Waiting(NamedTuple):
    """A run in the queue. `total` are its tokens and those of all runs before it."""

    run_id: str
    rank: int
    until: float
    position: int
    total: int


def limit_text(model: str, reason: str) -> str:
    """Why a run waits, for the operator."""
    return f"waiting for the limit of model {model}: {reason}"


def join(
    connection: Connection,
    model: str,
    agent: str,
    asks: Sequence[LeaseRequest],
    rank: int,
    now: float,
) -> None:
    """Let runs wait from `rank` on, or at their earlier ranks; forget late runs that have ended."""
    its = rate_waits.c
    statement = upsert(connection, rate_waits)
    statement = statement.on_conflict_do_update(
        index_elements=[its.run_id, its.model],
        set_={"until": now, "tokens": statement.excluded.tokens},
    )
    for n, it in enumerate(asks):
        fields = {"run_id": it.run_id, "priority": it.priority, "tokens": it.tokens}
        fields |= {"model": model, "agent": agent, "rank": rank + n, "reason": ""}
        connection.execute(statement.values(**fields, since=now, until=now))
    is_open = exists().where(runs.c.run_id == its.run_id, runs.c.ended_at.is_(None))
    late = its.model == model, its.until < now - GRACE_S
    connection.execute(delete(rate_waits).where(*late, ~is_open))


def read(
    connection: Connection, model: str, agent: str, number: int, asking: Collection[str], now: float
) -> list[Waiting]:
    """The first runs of the queue, so many, and those of `agent` that ask now."""
    its = rate_waits.c
    background = and_(its.priority == Priority.BACKGROUND, its.since > now - BACKGROUND_WAIT_S)
    order = case((background, 1), else_=0), its.rank, its.since, its.run_id
    of_model, late = its.model == model, its.until < now - GRACE_S
    absent = select(its.agent).where(of_model, late, its.agent != agent)
    queue = (
        select(
            its.run_id,
            its.rank,
            its.until,
            func.row_number().over(order_by=order).label("position"),
            cast(func.sum(its.tokens).over(order_by=order), BigInteger).label("total"),
        )
        .where(of_model, ~late, its.agent.not_in(absent))
        .subquery("queue")
    )
    wanted = or_(queue.c.position <= number, queue.c.run_id.in_(asking))
    rows = connection.execute(select(queue).where(wanted).order_by(queue.c.position))
    return [Waiting(*row) for row in rows]


def leave(connection: Connection, model: str, run_ids: Collection[str]) -> None:
    its = rate_waits.c.model == model, rate_waits.c.run_id.in_(run_ids)
    connection.execute(delete(rate_waits).where(*its))


def expect(connection: Connection, model: str, run_id: str, until: float, reason: str) -> None:
    """Record when a run will ask again, and for which limit it waits."""
    its = rate_waits.c.model == model, rate_waits.c.run_id == run_id
    connection.execute(update(rate_waits).where(*its).values(until=until, reason=reason))


def wake(connection: Connection, model: str, run_ids: Collection[str], now: float) -> None:
    """Make runs due now. A row that another process locks is left as it is: that run is being
    taken, or ended."""
    if not run_ids:
        return
    its = rate_waits.c.model == model, rate_waits.c.run_id.in_(run_ids)
    connection.execute(update(rate_waits).where(*its).values(until=now))
    later = runs.c.state == RunState.DUE, runs.c.due_at > now, runs.c.ended_at.is_(None)
    query = select(runs.c.run_id).where(runs.c.run_id.in_(run_ids), *later)
    free = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
    if free:
        connection.execute(update(runs).where(runs.c.run_id.in_(free)).values(due_at=now))
