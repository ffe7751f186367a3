"""Writing documents: a document is a list of passages, in a collection, under its source.

A collection is what is searched together: an agent's knowledge, its tools, or its memory of one
user. Replacing and removing documents can be repeated, and by several processes at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection

from shared.contract.rows import storable
from shared.store.database.dialect import lock_name, upsert
from shared.store.knowledge.tables import documents, passages
from shared.store.schema import now_s

SOURCE_CHARS = 500

KNOWLEDGE, MEMORY = "knowledge:", "memory:"
"""The beginnings of the names of collections."""


def knowledge_of(agent: str) -> str:
    """The collection of an agent's documents."""
    return f"{KNOWLEDGE}{agent}"


def tools_of(agent: str) -> str:
    """The collection of an agent's tools and workers; the source is a name."""
    return f"tools:{agent}"


def memory_of(agent: str, user: str = "") -> str:
    """The collection of what an agent remembers: of a user, or outside sessions."""
    return f"{MEMORY}{agent}:{user}"


@dataclass(frozen=True)
class Indexed:
    """A document as it is stored; `indexed_at` is in seconds since 1970."""

    collection: str
    source: str
    digest: str
    fault: str
    indexed_at: float
    passages: int


def every(connection: Connection, collection: str, *, below: bool = False) -> list[Indexed]:
    """The documents of a collection, in the order of their sources.

    With `below`, those of all collections whose names begin with it.
    """
    of = documents.c.collection
    chosen = of.startswith(collection, autoescape=True) if below else of == collection
    number = (
        select(func.count())
        .where(passages.c.collection == of, passages.c.source == documents.c.source)
        .scalar_subquery()
    )
    columns = (*documents.c, number.label("passages"))
    query = select(*columns).where(chosen).order_by(of, documents.c.source)
    return [Indexed(*row) for row in connection.execute(query)]


def count(connection: Connection, collection: str) -> int:
    query = select(func.count()).where(documents.c.collection == collection)
    return connection.execute(query).scalar_one()


def replace(
    connection: Connection,
    collection: str,
    source: str,
    digest: str,
    texts: Sequence[str],
    fault: str = "",
) -> bool:
    """Store a document's passages in place of earlier ones; False: it is stored already.

    `digest` is a hash of all that the passages are made of.
    """
    lock_name(connection, f"document {collection} {source}")
    key = {"collection": collection, "source": source}
    known = select(documents.c.hash).where(*(documents.c[name] == key[name] for name in key))
    if connection.execute(known).scalar() == digest:
        return False
    fields = {"hash": digest, "fault": storable(fault), "indexed_at": now_s()}
    row = upsert(connection, documents).values(**key, **fields)
    connection.execute(row.on_conflict_do_update(index_elements=list(key), set_=fields))
    connection.execute(delete(passages).where(*(passages.c[name] == key[name] for name in key)))
    rows = [{**key, "position": n, "text": storable(it)} for n, it in enumerate(texts, 1)]
    if rows:
        connection.execute(insert(passages), rows)
    return True


def replace_all(connection: Connection, collection: str, texts: Mapping[str, str]) -> None:
    """Make documents of one passage each the whole of a collection; `texts` are by source."""
    if gone := {it.source for it in every(connection, collection)} - texts.keys():
        remove(connection, collection, gone)
    for source, text in sorted(texts.items()):
        digest = hashlib.sha256(storable(text).encode()).hexdigest()
        replace(connection, collection, source, digest, [text])


def remove(connection: Connection, collection: str, sources: Collection[str] | None = None) -> int:
    """Delete these documents of a collection, or all of them; returns how many there were."""
    for table in (passages, documents):
        query = delete(table).where(table.c.collection == collection)
        if sources is not None:
            query = query.where(table.c.source.in_(sources))
        deleted = connection.execute(query).rowcount
    return int(deleted)


def forget(connection: Connection, user: str, agent: str | None = None) -> int:
    """Delete what agents remember of a user, or one agent; returns the number of memories.

    An empty `user` is for what they remember outside sessions.
    """
    of = documents.c.collection
    begin = f"{MEMORY}{agent}:" if agent else MEMORY
    query = select(of).distinct().where(of.startswith(begin, autoescape=True))
    names = [it for it in connection.execute(query).scalars() if it.split(":", 2)[2] == user]
    return sum(remove(connection, name) for name in names)
