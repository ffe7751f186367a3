"""The keys with which clients use the gateway.

A key is `hk_<key id>_<secret>`. The secret has 256 random bits, so it can't be guessed from its
hash: a slow hash, which protects passwords that people choose, would only make requests slow.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic_core import from_json, to_json
from sqlalchemy import delete, or_, select, update
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.store.database.dialect import insert_new, lock_name
from shared.store.processes.access_tables import api_keys
from shared.store.schema import now_s

PREFIX = "hk_"
_KEY = re.compile(r"hk_([0-9a-f]{12})_[0-9a-f]{64}", re.ASCII)


class Scope(StrEnum):
    """What a key allows. Each scope includes those before it."""

    READ = "read"
    RUN = "run"
    OPERATE = "operate"

    def included(self) -> frozenset[Scope]:
        scopes = list(Scope)
        return frozenset(scopes[: scopes.index(self) + 1])


@dataclass(frozen=True)
class ApiKey:
    """A key as the store knows it: without its secret."""

    key_id: str
    name: str
    hash: str
    scope: Scope
    agents: frozenset[str] | None
    """The only agents that the key may see and use; None: all."""
    created_at: datetime
    revoked_at: datetime | None


def generate() -> str:
    return f"{PREFIX}{secrets.token_hex(6)}_{secrets.token_hex(32)}"


def key_id_of(key: str) -> str | None:
    """The id in a key; None if the text has not the form of a key."""
    found = _KEY.fullmatch(key)
    return found[1] if found else None


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def add(connection: Connection, key: str, name: str, scope: Scope, agents: Iterable[str]) -> None:
    """Record a key that `generate` has made; without agents it is for all of them.

    A repetition changes nothing. The name of a revoked key can be used again. Raises `StoreError`
    if another key has the name.
    """
    lock_name(connection, "api_keys")
    fields = {
        "key_id": key_id_of(key),
        "name": name,
        "hash": hash_of(key),
        "scopes": scope.value,
        "agents": to_json(sorted(set(agents))).decode(),
    }
    query = select(api_keys).where(api_keys.c.name == name)
    for row in connection.execute(query):
        if row.revoked_at is None and row.key_id != fields["key_id"]:
            raise StoreError(
                f"there is a key '{name}' already: choose another name, or revoke it first"
            )
        if row.revoked_at is not None:
            connection.execute(delete(api_keys).where(api_keys.c.key_id == row.key_id))
    insert_new(connection, api_keys, fields, stamp="created_at")


def revoke(connection: Connection, name: str) -> bool:
    """Revoke a key by its name or id; returns whether there is such a key. A repetition changes
    nothing."""
    named = or_(api_keys.c.name == name, api_keys.c.key_id == name)
    found = connection.execute(select(api_keys.c.key_id).where(named)).first()
    statement = update(api_keys).where(named, api_keys.c.revoked_at.is_(None))
    connection.execute(statement.values(revoked_at=now_s()))
    return found is not None


def every(connection: Connection) -> Sequence[ApiKey]:
    """All keys, also revoked ones, the oldest first."""
    query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
    return [
        ApiKey(
            row.key_id,
            row.name,
            row.hash,
            Scope(row.scopes),
            frozenset(from_json(row.agents)) or None,
            datetime.fromtimestamp(row.created_at, UTC),
            None if row.revoked_at is None else datetime.fromtimestamp(row.revoked_at, UTC),
        )
        for row in connection.execute(query)
    ]
