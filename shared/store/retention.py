"""Deleting old runs and ticks, and sessions on request.

A repeated task is recognised only as long as its run is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import RowMapping, delete, exists, select
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.store.messages.ticks import TickOutcome
from shared.store.processes.rate_tables import rate_waits
from shared.store.runs import sessions
from shared.store.schema import (
    RunState,
    approvals,
    files,
    marks,
    now_s,
    outbox,
    requesters,
    runs,
    starts,
    steps,
    ticks,
)

BATCH = 200
"""The most runs in one commit, which takes some milliseconds: other writers wait only briefly."""

MOST_NAMED = 3
"""The most open runs that the refusal to forget a session names."""


def forget_runs(connection: Connection, agent: str, keep_s: float, *, batch: int = BATCH) -> bool:
    """Delete one batch of an agent's runs that ended `keep_s` ago or earlier, oldest first.

    Open runs and unsent messages are never deleted. False: there was nothing left to delete.
    """
    # A value: with the server's clock in the condition, PostgreSQL reads all ended runs.
    now: float = connection.execute(select(now_s())).scalar_one()
    chosen = connection.execute(
        select(runs.c.run_id)
        .where(
            runs.c.agent == agent,
            runs.c.state == RunState.ENDED,
            runs.c.ended_at <= float(now) - keep_s,
        )
        .order_by(runs.c.ended_at)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    old = [row.run_id for row in chosen]
    if not old:
        return False
    delete_runs(connection, old)
    return True


def delete_runs(connection: Connection, run_ids: Collection[str]) -> None:
    """Delete runs with all rows that belong to them, except unsent messages."""
    undeliverable = delete(outbox).where(outbox.c.undeliverable_at.is_not(None))
    connection.execute(undeliverable.where(outbox.c.run_id.in_(run_ids)))
    for table in (steps, starts, marks, approvals, files, requesters, rate_waits, runs):
        connection.execute(delete(table).where(table.c.run_id.in_(run_ids)))


def forget_ticks(connection: Connection, agent: str, keep_s: float) -> None:
    """Delete an agent's old ticks; each schedule's first and newest rows are its state and stay."""
    newer = ticks.alias()
    is_newest = ~exists().where(
        newer.c.agent == ticks.c.agent,
        newer.c.schedule == ticks.c.schedule,
        newer.c.nominal_at > ticks.c.nominal_at,
    )
    connection.execute(
        delete(ticks).where(
            ticks.c.agent == agent,
            ticks.c.outcome.not_in([TickOutcome.SEEN, TickOutcome.SENDING]),
            ticks.c.nominal_at <= now_s() - keep_s,
            ~is_newest,
        )
    )


def forget_session(
    connection: Connection, session: str, agent: str | None, *, batch: int = BATCH
) -> int:
    """Delete one batch of a session's runs; returns how many, 0 when none is left.

    With an agent, only its own runs in the session and those that they caused at its workers.
    Raises `StoreError` while one of them is open, and deletes none.
    """
    sessions.lock_session(connection, session)
    found = _of_session(connection, session, agent)
    opened = [row for row in found if row["state"] != RunState.ENDED]
    if opened:
        names = ", ".join(f"{row['task_id']} of {row['agent']}" for row in opened[:MOST_NAMED])
        raise StoreError(
            f"session '{session}' has {len(opened)} open runs ({names}): "
            "wait until they end, or cancel them, then forget it"
        )
    run_ids = [row["run_id"] for row in found[:batch]]
    delete_runs(connection, run_ids)
    return len(run_ids)


def _of_session(connection: Connection, session: str, agent: str | None) -> Sequence[RowMapping]:
    """The session's runs, each after the runs that it has caused.

    They are found by their cause, so it is deleted last: a batch may delete only some of them.
    """
    columns = ("run_id", "agent", "task_id", "root_id", "parent_id", "state")
    query = (
        select(*(runs.c[name] for name in columns))
        .where(runs.c.session == session)
        .order_by(runs.c.run_id)
        .with_for_update()
    )
    rows = connection.execute(query).mappings().all()
    if agent is None:
        return rows
    found = [row for row in rows if row["agent"] == agent]
    known = {row["run_id"] for row in found}
    for cause in found:  # the list grows during the iteration
        caused = [
            row
            for row in rows
            if (row["root_id"], row["parent_id"]) == (cause["root_id"], cause["task_id"])
            and row["run_id"] not in known
        ]
        known.update(row["run_id"] for row in caused)
        found += caused
    return found[::-1]
