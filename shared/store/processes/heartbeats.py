"""Instances and their heartbeats, by which a dead process is found without comparing clocks."""

from dataclasses import dataclass, field

from sqlalchemy import Column, ColumnElement, String, bindparam, delete, exists, or_, select
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from shared.store.database.dialect import insert_into
from shared.store.database.prepared import Prepared
from shared.store.schema import RunState, instances, now_s, outbox, runs, shutdowns

DEAD_AFTER_S = 3.0
"""An instance is dead when another process has seen its count unchanged for this long."""
LATE_S = 1.5
"""After a longer gap between two polls, no silence that was observed before it is used."""


@dataclass
class Watch:
    """How long each replica has been silent, by this process's own monotonic clock."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _polled_at: float = float("-inf")

    def silent(self, counts: dict[str, int], now: float) -> set[str]:
        """The instances whose heartbeat count has not changed for `DEAD_AFTER_S`."""
        if now - self._polled_at > LATE_S:
            self._seen.clear()
        self._polled_at = now
        for instance, count in counts.items():
            if self._seen.get(instance, (None, 0.0))[0] != count:
                self._seen[instance] = (count, now)
        self._seen = {name: self._seen[name] for name in counts}
        return {name for name, (_, since) in self._seen.items() if now - since >= DEAD_AFTER_S}


def record(connection: Connection, instance: str, agent: str) -> None:
    """Increase an instance's count, or insert its row: a process that was declared dead by mistake
    registers again with its next heartbeat."""
    _RECORD.rows(connection, {"instance": instance, "agent": agent})


def _record(dialect: str) -> ReturningInsert[tuple[str]]:
    first = insert_into(dialect, instances).values(beat=1, started_at=now_s())
    return first.on_conflict_do_update(
        index_elements=[instances.c.instance], set_={"beat": instances.c.beat + 1}
    ).returning(instances.c.instance)


_RECORD = Prepared(_record, ("instance", "agent"))


def ownerless(owner: Column[str]) -> ColumnElement[bool]:
    """The condition that an owner has no row or is in the statement's parameter `dead`."""
    dead = bindparam("dead", expanding=True, type_=String())
    return or_(owner.in_(dead), owner.not_in(select(instances.c.instance)))


def remove(connection: Connection, instance: str) -> None:
    """Remove an instance that exits: other replicas may take what it still owns at once."""
    connection.execute(delete(shutdowns).where(shutdowns.c.instance == instance))
    connection.execute(delete(instances).where(instances.c.instance == instance))


def remove_dead(connection: Connection, instance: str) -> None:
    """Remove a dead instance, unless it still owns a run or an unsent message."""
    owns_run = exists().where(runs.c.owner == instance, runs.c.state != RunState.ENDED)
    owns_message = exists().where(outbox.c.owner == instance, outbox.c.undeliverable_at.is_(None))
    connection.execute(
        delete(instances).where(instances.c.instance == instance, ~owns_run, ~owns_message)
    )
