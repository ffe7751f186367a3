"""The brake: which agents begin nothing until they are let go again."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from shared.contract.topology import ALL
from shared.store.database.dialect import insert_new
from shared.store.schema import pauses


def pause(connection: Connection, agent: str) -> None:
    """Keep that an agent, or `ALL`, is paused; again changes nothing."""
    insert_new(connection, pauses, {"agent": agent}, stamp="paused_at")


def unpause(connection: Connection, agent: str) -> None:
    """Let an agent go; `ALL` lets everybody go, whoever was paused by name too."""
    statement = delete(pauses)
    connection.execute(statement if agent == ALL else statement.where(pauses.c.agent == agent))


def paused(connection: Connection) -> set[str]:
    """Who is paused by name; `ALL` among them means everybody."""
    return set(connection.execute(select(pauses.c.agent)).scalars())
