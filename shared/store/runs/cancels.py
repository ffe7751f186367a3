"""Cancels, and the ending of cancelled and overdue runs, which needs no slot.

A cancel is a row, kept from the request until its run has ended `cancelled`; the run need not exist
yet. Rows that meet no open run are deleted with old runs.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import run_id
from shared.store.database.dialect import insert_new
from shared.store.database.prepared import Prepared
from shared.store.runs.parking import lock_and_unpark
from shared.store.runs.run import NEXT_FENCE, Run, load
from shared.store.schema import ACTIVE, RunState, cancels, now_s, runs

OVERDUE_S = 2.0
"""The time in which the owner must end a cancelled or overdue run, counted anew for each owner.
After it, any replica may end the run."""

STUCK_S = 15.0
"""The time in which a process's own job must end a run that it computes. After it, the job is
stuck, for instance in a tool that ignores its cancellation, and another job ends the run. It is
longer than a confirm of the broker may take."""

BATCH = 100
"""The most runs that one commit takes to end them; the next poll takes more."""

_OPEN = runs.c.ended_at.is_(None)

CANCELLED = exists().where(cancels.c.run_id == runs.c.run_id)


def _late(seconds: float) -> ColumnElement[bool]:
    """The condition that a run has been cancelled or overdue, with this owner, for `seconds`."""
    then = now_s() - seconds
    cancelled = exists().where(cancels.c.run_id == runs.c.run_id, cancels.c.asked_at <= then)
    return and_(runs.c.due_at <= then, or_(runs.c.deadline_at <= then, cancelled))


UNWANTED = or_(runs.c.deadline_at <= now_s(), CANCELLED)
_due = and_(runs.c.state == RunState.DUE, UNWANTED)
ENDABLE = or_(_due, _late(OVERDUE_S))
"""The condition that any replica may end an open run, because it is cancelled or overdue."""


_REMOVE = Prepared(
    lambda _: (
        delete(cancels).where(cancels.c.run_id == bindparam("run_id")).returning(cancels.c.run_id)
    )
)


def request(connection: Connection, agent: str, task_id: str) -> bool:
    """Record a cancel of a task; False if its run has ended, and nothing is written then."""
    run = run_id(agent, task_id)
    if connection.execute(select(runs.c.ended_at).where(runs.c.run_id == run)).scalar():
        return False
    record(connection, agent, task_id)
    return True


def record(connection: Connection, agent: str, task_id: str) -> None:
    """Record a cancel whether the run has ended or not; a parked run is due then."""
    run = run_id(agent, task_id)
    fields = {"run_id": run, "agent": agent, "task_id": task_id}
    insert_new(connection, cancels, fields, stamp="asked_at")
    lock_and_unpark(connection, run)


def remove(connection: Connection, run_id: str) -> None:
    """Delete the cancel of a run that has ended, or that is replayed."""
    _REMOVE.rows(connection, {"run_id": run_id})


def take_endable(
    connection: Connection, agent: str, instance: str, held: Collection[str] = ()
) -> list[Run]:
    """Take runs that only have to end from their owners, whose later writes the fence refuses.

    These are due runs that are cancelled or overdue, and runs in any state that have been so for
    `OVERDUE_S`; the new owner has the same time to end them. The runs `held`, which this process
    computes itself, are left to their own jobs for `STUCK_S`. After an unknown commit, a later poll
    finds the runs again.
    """
    not_ours = or_(runs.c.owner.is_distinct_from(instance), runs.c.run_id.not_in(held))
    chosen = connection.execute(
        select(runs.c.run_id)
        .where(runs.c.agent == agent, ACTIVE, ENDABLE, or_(not_ours, _late(STUCK_S)))
        .order_by(runs.c.run_id)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    taken = [row.run_id for row in chosen]
    owned = {
        "owner": instance,
        "state": RunState.RUNNING,
        "fence": NEXT_FENCE,
        "due_at": now_s(),
    }
    connection.execute(update(runs).where(runs.c.run_id.in_(taken)).values(owned))
    return [load(connection, run) for run in taken]


def remove_old(connection: Connection, agent: str, keep_s: float) -> None:
    """Delete cancels that have met no open run in `keep_s`, or whose run has ended otherwise."""
    ended = exists().where(runs.c.run_id == cancels.c.run_id, ~_OPEN)
    old = cancels.c.asked_at <= now_s() - keep_s
    connection.execute(delete(cancels).where(cancels.c.agent == agent, or_(old, ended)))
