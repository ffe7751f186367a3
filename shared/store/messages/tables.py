"""The tables of messages from outside: dead letters, what clients have sent, and webhooks."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text, text

from shared.store.schema import metadata

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("letter_id", String(128), primary_key=True),
    Column("routing_key", String(255), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("properties", Text, nullable=False),
    Column("kept_at", Float(53), nullable=False),
)
"""Dead letters that the broker's queue `dead` did not accept; `properties` is JSON."""

sent_messages = Table(
    "sent_messages",
    metadata,
    Column("message_id", String(128), primary_key=True),
    Column("receiver", String(255), primary_key=True),
    Column("sent_at", Float(53), nullable=False),
    Column("content_hash", String(32)),
)
"""Messages that clients have sent; `receiver` is an agent, or the exchange of a swarm.
`content_hash` is known of those that the gateway sends."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", String(64), primary_key=True),
    Column("run_id", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("due_at", Float(53), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text, nullable=False),
    Column("delivered_at", Float(53)),
    Column("given_up_at", Float(53)),
    Column("approval_id", String(16)),
)
"""Addresses that get the response of a run. A row is written before the task is sent, so that a
gateway that dies loses none; the run may not exist yet. With an `approval_id`, it is this request
that is sent, and not the response."""

_PENDING = text("delivered_at IS NULL AND given_up_at IS NULL")
Index("webhooks_pending", webhooks.c.due_at, postgresql_where=_PENDING, sqlite_where=_PENDING)
