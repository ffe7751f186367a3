"""Cancels, and all runs that only have to end: no slot is needed for those.

A cancel is a row, kept from when it is asked for until its run has ended `cancelled`, whether
the run is known yet or not. Rows that met no open run are forgotten with old runs.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, delete, exists, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import run_id
from shared.store.database.dialect import insert_new
from shared.store.runs.run import NEXT_FENCE, Run, load
from shared.store.schema import RunState, cancels, now_s, runs

OVERDUE_S = 2.0
"""A living owner has ended a cancelled or late run by then: afterwards anybody ends it. One that
has just taken a run to end it has as long."""

STUCK_S = 15.0
"""What a process computes itself, its own loop ends; a loop that has not done so by then does not
obey (its tool ignores that it is cancelled), and another job ends the run. Longer than the broker's
confirm may take."""

BATCH = 100
"""Runs that one commit takes to end them; the next look takes more."""

_OPEN = runs.c.ended_at.is_(None)
"""Of an agent, an index finds these among any number of ended ones."""

CANCELLED = exists().where(cancels.c.run_id == runs.c.run_id)


def _late(seconds: float) -> ColumnElement[bool]:
    """For so long it has been cancelled or past its deadline, and its owner has had it."""
    then = now_s() - seconds
    asked = exists().where(cancels.c.run_id == runs.c.run_id, cancels.c.asked_at <= then)
    return and_(runs.c.due_at <= then, or_(runs.c.deadline_at <= then, asked))


UNWANTED = or_(runs.c.deadline_at <= now_s(), CANCELLED)
_due = and_(runs.c.state == RunState.DUE, UNWANTED)
ENDABLE = or_(_due, _late(OVERDUE_S))
"""Of an open run: it only has to end, and whoever sees it first may end it."""


def request(connection: Connection, agent: str, task_id: str) -> bool:
    """Keep that a task is not wanted any more; False: its run has ended, nothing changes."""
    run = run_id(agent, task_id)
    if connection.execute(select(runs.c.ended_at).where(runs.c.run_id == run)).scalar():
        return False
    record(connection, agent, task_id)
    return True


def record(connection: Connection, agent: str, task_id: str) -> None:
    """`request` without a look at the run: it locks nothing of a run that is another's."""
    fields = {"run_id": run_id(agent, task_id), "agent": agent, "task_id": task_id}
    insert_new(connection, cancels, fields, stamp="asked_at")


def remove(connection: Connection, run_id: str) -> None:
    """The cancel was obeyed, or shall not be: the run may be opened again."""
    connection.execute(delete(cancels).where(cancels.c.run_id == run_id))


def take_endable(
    connection: Connection, agent: str, instance: str, held: Collection[str] = ()
) -> list[Run]:
    """Own the runs that only have to end, whoever had them: the fence shuts that one out.

    These are due ones that are cancelled or past their deadline, and those of any state that
    have been so for `OVERDUE_S`. Its taker has as long to end it. What this process owns
    and computes, `held`, is left to its own loop, for `STUCK_S`. After an unknown commit a later
    poll finds them again.
    """
    not_ours = or_(runs.c.owner.is_distinct_from(instance), runs.c.run_id.not_in(held))
    chosen = connection.execute(
        select(runs.c.run_id)
        .where(runs.c.agent == agent, _OPEN, ENDABLE, or_(not_ours, _late(STUCK_S)))
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
    """Delete what met no run in `keep_s`, or one that had ended otherwise."""
    ended = exists().where(runs.c.run_id == cancels.c.run_id, ~_OPEN)
    old = cancels.c.asked_at <= now_s() - keep_s
    connection.execute(delete(cancels).where(cancels.c.agent == agent, or_(old, ended)))
