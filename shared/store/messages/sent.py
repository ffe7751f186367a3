"""Messages that a client has sent, so that their ids are known before an agent has taken them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from shared.contract.content_hash import content_hash, earlier_content_hash
from shared.contract.messages import Task, Trigger, run_id
from shared.store.database.dialect import insert_new
from shared.store.messages import webhooks
from shared.store.messages.tables import sent_messages
from shared.store.messages.webhooks import Callback
from shared.store.schema import now_s, runs


def record(
    connection: Connection, message_id: str, receiver: str, content: str | None = None
) -> None:
    """Record that the broker has confirmed a message. `receiver` is an agent, or the exchange of a
    swarm; `content` is the hash of its content. A repetition changes nothing."""
    fields = {"message_id": message_id, "receiver": receiver, "content_hash": content}
    insert_new(connection, sent_messages, fields, stamp="sent_at")


def record_new(
    connection: Connection, agent: str, message: Task | Trigger, callback: Callback | None = None
) -> bool:
    """Record a message that is about to be sent to an agent, with the address for its response.

    False, and nothing is written, if its id belongs to a run with other content, so that the agent
    would refuse it, or to a message with other content that the agent has not taken yet.
    """
    query = select(runs.c.content_hash, runs.c.nonce)
    task_id = message.id or ""
    own = run_id(agent, task_id)
    row = connection.execute(query.where(runs.c.run_id == own)).first()
    same = {content_hash(message)}
    if row and not row.nonce:  # a run of version 0.1.0
        same.add(earlier_content_hash(message))
    if row and row.content_hash not in same:
        return False
    record(connection, task_id, agent, content_hash(message))
    own_row = (sent_messages.c.message_id == task_id, sent_messages.c.receiver == agent)
    sent = connection.execute(select(sent_messages.c.content_hash).where(*own_row)).scalar()
    if row is None and sent not in {content_hash(message), None}:
        return False
    if callback is not None:
        webhooks.add(connection, own, callback)
    return True


def receivers(connection: Connection, message_id: str) -> Sequence[str]:
    """The agents and exchanges to which a client has sent a message with this id."""
    query = select(sent_messages.c.receiver).where(sent_messages.c.message_id == message_id)
    return connection.execute(query.order_by(sent_messages.c.receiver)).scalars().all()


def repeatable(
    connection: Connection, receiver: str, beginning: str, within_s: float
) -> str | None:
    """The id of the newest task to this agent whose id begins so, unless its run has ended more
    than `within_s` ago. The digits that follow are hexadecimal."""
    named = sent_messages.c.message_id
    newest = (
        select(named)
        .where(
            sent_messages.c.receiver == receiver,
            named >= beginning,
            named < beginning + "g",  # not LIKE, which reads the whole index in some collations
        )
        .order_by(sent_messages.c.sent_at.desc())
        .limit(1)
    )
    found: str | None = connection.execute(newest).scalar()
    if found is None or not found.startswith(beginning):
        return None
    over = select(runs.c.run_id).where(
        runs.c.run_id == run_id(receiver, found), runs.c.ended_at < now_s() - within_s
    )
    return None if connection.execute(over).first() else found


def all_receivers(connection: Connection) -> set[str]:
    """The agents and exchanges to which clients have sent messages."""
    return set(connection.execute(select(sent_messages.c.receiver).distinct()).scalars())


def remove_old(connection: Connection, keep_s: float) -> None:
    """Delete the records of messages that were sent `keep_s` ago or earlier."""
    connection.execute(delete(sent_messages).where(sent_messages.c.sent_at <= now_s() - keep_s))
