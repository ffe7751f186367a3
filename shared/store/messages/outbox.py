"""The outbox: messages that are committed and not yet confirmed by the broker."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    RowMapping,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningDelete

from shared.contract.messages import response_id
from shared.contract.topology import CONTROL, cancel_key, reply_address, swarm_exchange_name
from shared.store.database.prepared import Prepared
from shared.store.processes.heartbeats import ownerless
from shared.store.schema import now_s, outbox

ADOPT_BATCH = 1000
"""The most messages that one commit takes over from dead replicas; the next poll takes more."""


@dataclass(frozen=True)
class Outbound:
    """One message to publish. The messages of one run are published in the order of `seq`."""

    run_id: str
    exchange: str
    routing_key: str
    message_id: str
    body: str
    correlation_id: str | None = None
    seq: int = 0

    @classmethod
    def answer(
        cls, run_id: str, epoch: int, reply_to: str, correlation_id: str, body: str
    ) -> Outbound:
        exchange, key = reply_address(reply_to)
        return cls(run_id, exchange, key, response_id(run_id, epoch), body, correlation_id or None)

    @classmethod
    def broadcast(cls, run_id: str, group: str, message_id: str, body: str) -> Outbound:
        return cls(run_id, swarm_exchange_name(group), "", message_id, body)

    @classmethod
    def cancel(cls, run_id: str, agent: str, message_id: str, body: str) -> Outbound:
        return cls(run_id, CONTROL, cancel_key(agent), message_id, body)


UNSENT = and_(outbox.c.agent == bindparam("agent"), outbox.c.undeliverable_at.is_(None))
ORPHANED = ownerless(outbox.c.owner)
"""The condition that no living process publishes an unsent message."""
_ADDED = (*Outbound.__dataclass_fields__.keys() - {"seq"}, "agent", "owner")
_ADD = Prepared(lambda _: insert(outbox).values(created_at=now_s()).returning(outbox.c.seq), _ADDED)


def _remove(dialect: str) -> ReturningDelete[tuple[int]]:
    given = bindparam("seqs", type_=Text())  # a JSON array: both dialects can read one
    if dialect == "postgresql":
        listed = select(cast(func.json_array_elements_text(cast(given, JSON)), BigInteger))
    else:
        listed = select(func.json_each(given).table_valued("value").c.value)
    return delete(outbox).where(outbox.c.seq.in_(listed)).returning(outbox.c.seq)


_REMOVE = Prepared(_remove)


def add(connection: Connection, message: Outbound, agent: str, owner: str) -> Outbound:
    """Add a message that `owner` is to publish after the commit; returns it with its `seq`."""
    fields = vars(message) | {"agent": agent, "owner": owner}
    del fields["seq"]
    return replace(message, seq=_ADD.rows(connection, fields)[0][0])


def unsent_of(connection: Connection, run_id: str, owner: str) -> tuple[Outbound, ...]:
    return _load(connection, outbox.c.run_id == run_id, outbox.c.owner == owner)


def adopt(
    connection: Connection, agent: str, owner: str, dead: Collection[str], earlier: set[int]
) -> tuple[Outbound, ...]:
    """Take over the unsent messages of an agent's dead replicas, for `owner` to publish.

    `earlier` is a set that the caller creates empty for this call. It keeps what was chosen, so
    that a repetition after an unknown commit returns the messages that `owner` already has.
    """
    if ours := _load(connection, outbox.c.seq.in_(earlier), outbox.c.owner == owner):
        return ours
    rows = connection.execute(
        select(outbox.c.seq)
        .where(UNSENT, ORPHANED)
        .order_by(outbox.c.seq)
        .limit(ADOPT_BATCH)
        .with_for_update(skip_locked=True),
        {"agent": agent, "dead": list(dead)},
    )
    earlier.clear()
    earlier.update(row.seq for row in rows)
    connection.execute(update(outbox).where(outbox.c.seq.in_(earlier)).values(owner=owner))
    return _load(connection, outbox.c.seq.in_(earlier), outbox.c.owner == owner)


def remove_sent(connection: Connection, seqs: Sequence[int]) -> None:
    _REMOVE.rows(connection, {"seqs": json.dumps(list(seqs))})


def mark_undeliverable(connection: Connection, seq: int) -> None:
    """Mark a message whose reply queue is gone: it is kept for the operator and not sent again."""
    connection.execute(update(outbox).where(outbox.c.seq == seq).values(undeliverable_at=now_s()))


def _load(connection: Connection, *conditions: ColumnElement[bool]) -> tuple[Outbound, ...]:
    query = (
        select(
            outbox.c.run_id,
            outbox.c.exchange,
            outbox.c.routing_key,
            outbox.c.message_id,
            outbox.c.body,
            outbox.c.correlation_id,
            outbox.c.seq,
        )
        .where(outbox.c.undeliverable_at.is_(None), *conditions)
        .order_by(outbox.c.seq)
    )
    return tuple(_message(row) for row in connection.execute(query).mappings())


def _message(row: RowMapping) -> Outbound:
    return Outbound(**dict(row))
