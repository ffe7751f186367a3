"""Instances and their beats: how a dead process is found without comparing clocks."""

from sqlalchemy import delete, exists, select
from sqlalchemy.engine import Connection

from shared.store.dialect import upsert
from shared.store.schema import RunState, instances, now_s, outbox, runs, shutdowns

SILENCE_S = 3.0
"""A count that somebody has watched stand still for so long is a dead process's."""


def beat(connection: Connection, instance: str, agent: str) -> None:
    """Count up, or register: a process that was taken for dead comes back by its next beat."""
    statement = upsert(connection, instances).values(
        instance=instance, agent=agent, beat=1, started_at=now_s()
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[instances.c.instance], set_={"beat": instances.c.beat + 1}
        )
    )


def beats(connection: Connection, agent: str) -> dict[str, int]:
    """Every instance of an agent with its count."""
    query = select(instances.c.instance, instances.c.beat).where(instances.c.agent == agent)
    return {row.instance: row.beat for row in connection.execute(query)}


def leave(connection: Connection, instance: str) -> None:
    """A clean exit: what this instance still owns is anybody's at once."""
    connection.execute(delete(shutdowns).where(shutdowns.c.instance == instance))
    connection.execute(delete(instances).where(instances.c.instance == instance))


def bury(connection: Connection, instance: str) -> None:
    """Forget a dead instance once it owns nothing any more."""
    owns_run = exists().where(runs.c.owner == instance, runs.c.state != RunState.ENDED)
    owns_message = exists().where(outbox.c.owner == instance, outbox.c.undeliverable_at.is_(None))
    connection.execute(
        delete(instances).where(instances.c.instance == instance, ~owns_run, ~owns_message)
    )
