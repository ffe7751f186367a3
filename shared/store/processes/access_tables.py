"""The tables of the gateway's keys, and of what their clients have done."""

from sqlalchemy import Column, Float, Index, String, Table, Text

from shared.store.schema import SERIAL, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(16), primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Column("scopes", String(40), nullable=False),
    Column("agents", Text, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("revoked_at", Float(53)),
)
"""The gateway's keys. `hash` is the SHA-256 of the key in hexadecimal, `scopes` is separated by
commas, `agents` is a JSON list of names, empty for all agents."""

audit = Table(
    "audit",
    metadata,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("at", Float(53), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("key_name", String(80), nullable=False),
    Column("action", String(40), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("detail", Text, nullable=False),
)
"""What clients of the gateway have done; `subject` is what it was done to."""

Index("audit_at", audit.c.at)
