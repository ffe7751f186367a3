"""Shutdowns: which processes are to end, by the names of their instances."""

from __future__ import annotations

from sqlalchemy import case, delete, select
from sqlalchemy.engine import Connection

from shared.contract.messages import ShutdownMode
from shared.store.database.dialect import upsert
from shared.store.schema import instances, now_s, shutdowns


def request(connection: Connection, agent: str | None, mode: ShutdownMode) -> None:
    """Record that every process of an agent, or of all agents for None, is to end.

    A process that starts later has another name and is not affected. A stop is never changed back
    to a drain.
    """
    query = select(instances.c.instance).order_by(instances.c.instance)
    if agent is not None:
        query = query.where(instances.c.agent == agent)
    names = list(connection.execute(query).scalars())
    statement = upsert(connection, shutdowns)
    harder = case((statement.excluded.mode == "stop", "stop"), else_=shutdowns.c.mode)
    statement = statement.on_conflict_do_update(
        index_elements=[shutdowns.c.instance], set_={"mode": harder}
    )
    for name in names:
        connection.execute(statement.values(instance=name, mode=mode, asked_at=now_s()))


def remove_old(connection: Connection, keep_s: float) -> None:
    """Delete shutdowns that were requested `keep_s` ago or earlier."""
    connection.execute(delete(shutdowns).where(shutdowns.c.asked_at <= now_s() - keep_s))
