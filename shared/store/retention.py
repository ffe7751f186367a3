"""Forgetting: ended runs, and the ticks that led to them, after their time is over.

This is also how long a repeated task is recognised as one.
"""

from collections.abc import Collection

from sqlalchemy import delete, exists, select
from sqlalchemy.engine import Connection

from shared.store.messages.ticks import Outcome
from shared.store.schema import RunState, now_s, outbox, requesters, runs, starts, steps, ticks

BATCH = 200
"""Runs in one commit: some milliseconds, so that nobody waits long behind it."""


def forget_runs(connection: Connection, agent: str, keep_s: float) -> bool:
    """Delete one batch of an agent's runs that ended `keep_s` ago or earlier, oldest first.

    Open runs are never deleted, nor what is still to be sent. False: there was nothing left.
    """
    chosen = connection.execute(
        select(runs.c.run_id)
        .where(
            runs.c.agent == agent,
            runs.c.state == RunState.ENDED,
            runs.c.ended_at <= now_s() - keep_s,
        )
        .order_by(runs.c.ended_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    old = [row.run_id for row in chosen]
    if not old:
        return False
    delete_runs(connection, old)
    return True


def delete_runs(connection: Connection, run_ids: Collection[str]) -> None:
    """With all that is stored of them, but for what is still to be sent."""
    undeliverable = delete(outbox).where(outbox.c.undeliverable_at.is_not(None))
    connection.execute(undeliverable.where(outbox.c.run_id.in_(run_ids)))
    for table in (steps, starts, requesters, runs):
        connection.execute(delete(table).where(table.c.run_id.in_(run_ids)))


def forget_ticks(connection: Connection, agent: str, keep_s: float) -> None:
    """Delete an agent's old ticks; each schedule's first and newest say where it stands."""
    newer = ticks.alias()
    is_newest = ~exists().where(
        newer.c.agent == ticks.c.agent,
        newer.c.schedule == ticks.c.schedule,
        newer.c.nominal_at > ticks.c.nominal_at,
    )
    connection.execute(
        delete(ticks).where(
            ticks.c.agent == agent,
            ticks.c.outcome.not_in([Outcome.SEEN, Outcome.SENDING]),
            ticks.c.nominal_at <= now_s() - keep_s,
            ~is_newest,
        )
    )
