"""Instances and their beats: how a dead process is found without comparing clocks."""

from functools import cache

from sqlalchemy import Column, ColumnElement, String, bindparam, delete, exists, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import Insert

from shared.store.database.dialect import insert_into
from shared.store.schema import RunState, instances, now_s, outbox, runs, shutdowns

DEAD_AFTER_S = 3.0
"""A count that somebody has watched stand still for so long is a dead process's."""


def record(connection: Connection, instance: str, agent: str) -> None:
    """Count up, or register: a process that was taken for dead comes back by its next beat."""
    connection.execute(_record(connection.dialect.name), {"instance": instance, "agent": agent})


@cache  # each process does it every second: to build the statement takes longer than to run it
def _record(dialect: str) -> Insert:
    first = insert_into(dialect, instances).values(beat=1, started_at=now_s())
    return first.on_conflict_do_update(
        index_elements=[instances.c.instance], set_={"beat": instances.c.beat + 1}
    )


def ownerless(owner: Column[str]) -> ColumnElement[bool]:
    """Whether this owner has no row, or is among the `dead`, which are to be given."""
    dead = bindparam("dead", expanding=True, type_=String())
    return or_(owner.in_(dead), owner.not_in(select(instances.c.instance)))


def remove(connection: Connection, instance: str) -> None:
    """A clean exit: what this instance still owns is anybody's at once."""
    connection.execute(delete(shutdowns).where(shutdowns.c.instance == instance))
    connection.execute(delete(instances).where(instances.c.instance == instance))


def remove_dead(connection: Connection, instance: str) -> None:
    """Forget a dead instance once it owns nothing any more."""
    owns_run = exists().where(runs.c.owner == instance, runs.c.state != RunState.ENDED)
    owns_message = exists().where(outbox.c.owner == instance, outbox.c.undeliverable_at.is_(None))
    connection.execute(
        delete(instances).where(instances.c.instance == instance, ~owns_run, ~owns_message)
    )
