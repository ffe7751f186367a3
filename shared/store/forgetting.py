"""Forgetting a session at once: its runs with all their texts, and what they caused."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping, select
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.store import retention
from shared.store.runs import sessions
from shared.store.schema import RunState, runs

MOST_NAMED = 3
"""Open runs that a refusal names: enough to begin with."""


def forget_session(connection: Connection, session: str, agent: str | None) -> int:
    """Delete one batch of a session's runs; returns how many, 0 when none is left.

    With an agent, only its own runs there and what they caused at its workers. Raises
    `StoreError` while one of them is open, and deletes none.
    """
    sessions.close(connection, session)
    found = _of_session(connection, session, agent)
    opened = [row for row in found if row["state"] != RunState.ENDED]
    if opened:
        names = ", ".join(f"{row['task_id']} of {row['agent']}" for row in opened[:MOST_NAMED])
        raise StoreError(
            f"session '{session}' has {len(opened)} open runs ({names}): "
            "wait until they end, or cancel them, then forget it"
        )
    batch = [row["run_id"] for row in found[: retention.BATCH]]
    retention.delete_runs(connection, batch)
    return len(batch)


def _of_session(connection: Connection, session: str, agent: str | None) -> Sequence[RowMapping]:
    """Causes stand last: when a batch ends between, what they have caused is still found."""
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
    for cause in found:  # it grows while it is read
        caused = [
            row
            for row in rows
            if (row["root_id"], row["parent_id"]) == (cause["root_id"], cause["task_id"])
            and row["run_id"] not in known
        ]
        known.update(row["run_id"] for row in caused)
        found += caused
    return found[::-1]
