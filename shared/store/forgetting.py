"""Forgetting a session at once: its runs with all their texts, and what they caused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.store import retention
from shared.store.schema import RunState, runs


def forget_session(connection: Connection, session: str, agent: str | None) -> int:
    """Delete one batch of a session's runs; returns how many, 0 when none is left.

    With an agent, only its own runs there and what they caused at its workers. Raises
    `StoreError` while one of them is open, and deletes none.
    """
    found = _of_session(connection, session, agent)
    opened = [row for row in found if row.state != RunState.ENDED]
    if opened:
        names = ", ".join(f"{row.task_id} of {row.agent}" for row in opened[:3])
        raise StoreError(
            f"session '{session}' has {len(opened)} open runs ({names}): "
            "wait until they end, or cancel them, then forget it"
        )
    batch = [row.run_id for row in found[: retention.BATCH]]
    retention.delete_runs(connection, batch)
    return len(batch)


def _of_session(connection: Connection, session: str, agent: str | None) -> Sequence[Row[Any]]:
    """Last those that have caused others: cut off in between, what is left is found again."""
    query = (
        select(
            runs.c.run_id,
            runs.c.agent,
            runs.c.task_id,
            runs.c.root_id,
            runs.c.parent_id,
            runs.c.state,
        )
        .where(runs.c.session == session)
        .order_by(runs.c.claimed_at, runs.c.run_id)
        .with_for_update()
    )
    rows = connection.execute(query).all()
    if agent is None:
        return rows
    found = [row for row in rows if row.agent == agent]
    for cause in found:  # grows while it is read
        known = {row.run_id for row in found}
        found += [
            row
            for row in rows
            if (row.root_id, row.parent_id) == (cause.root_id, cause.task_id)
            and row.run_id not in known
        ]
    return found[::-1]
