"""Pauses: which agents start no runs and call no models until they are unpaused."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from shared.contract.topology import ALL
from shared.store.database.dialect import insert_new
from shared.store.schema import pauses


def pause(connection: Connection, agent: str) -> None:
    """Record that an agent, or `ALL`, is paused. A repetition changes nothing."""
    insert_new(connection, pauses, {"agent": agent}, stamp="paused_at")


def unpause(connection: Connection, agent: str) -> None:
    """Unpause an agent; `ALL` unpauses every agent, also those that were paused by name."""
    statement = delete(pauses)
    connection.execute(statement if agent == ALL else statement.where(pauses.c.agent == agent))


def paused(connection: Connection) -> dict[str, datetime]:
    """The paused agents and when each pause began; with `ALL` among them every agent is paused."""
    found = connection.execute(select(pauses.c.agent, pauses.c.paused_at))
    return {row.agent: datetime.fromtimestamp(row.paused_at, UTC) for row in found}
