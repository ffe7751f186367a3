"""Writing documents: a document is a list of passages, in a collection, under its source.

A collection is what is searched together: an agent's knowledge, its tools, or its memory of one
user. Replacing and removing documents can be repeated, and by several processes at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, func, insert, select, update
from sqlalchemy.engine import Connection

from shared.contract.rows import storable
from shared.store.database.dialect import lock_name, upsert
from shared.store.knowledge.tables import documents, embeddings, passages
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
    embedded: int
    """The number of its passages that have an embedding."""


def every(connection: Connection, collection: str, *, below: bool = False) -> list[Indexed]:
    """The documents of a collection, in the order of their sources.

    With `below`, those of all collections whose names begin with it.
    """
    of = documents.c.collection
    chosen = of.startswith(collection, autoescape=True) if below else of == collection
    its = (passages.c.collection == of, passages.c.source == documents.c.source)
    embedded = select(embeddings.c.passage_id).where(
        embeddings.c.passage_id == passages.c.passage_id
    )
    columns = (
        *documents.c,
        select(func.count()).where(*its).scalar_subquery(),
        select(func.count()).where(*its, embedded.exists()).scalar_subquery(),
    )
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
    _replace_passages(connection, key, [storable(it) for it in texts])
    return True


def _replace_passages(connection: Connection, key: Mapping[str, str], texts: list[str]) -> None:
    """Passages whose text stays are kept, with their embeddings."""
    of = (passages.c[name] == key[name] for name in key)
    columns = (passages.c.passage_id, passages.c.text, passages.c.position)
    old = connection.execute(select(*columns).where(*of)).all()
    known = {it.text: it for it in old}
    gone, moved, new = {it.passage_id for it in old}, [], []
    for position, text in enumerate(texts, 1):
        if (same := known.pop(text, None)) is None:
            new.append({**key, "position": position, "text": text})
            continue
        gone.remove(same.passage_id)
        if same.position != position:
            moved.append({"id": same.passage_id, "position": position})
    the_id = passages.c.passage_id == bindparam("id")
    ids = [{"id": it} for it in gone]
    if ids:
        connection.execute(
            delete(embeddings).where(embeddings.c.passage_id == bindparam("id")), ids
        )
        connection.execute(delete(passages).where(the_id), ids)
    if moved:
        connection.execute(update(passages).where(the_id), moved)
    if new:
        connection.execute(insert(passages), new)


def replace_all(connection: Connection, collection: str, texts: Mapping[str, str]) -> None:
    """Make documents of one passage each the whole of a collection; `texts` are by source."""
    if gone := {it.source for it in every(connection, collection)} - texts.keys():
        remove(connection, collection, gone)
    for source, text in sorted(texts.items()):
        digest = hashlib.sha256(storable(text).encode()).hexdigest()
        replace(connection, collection, source, digest, [text])


def remove(connection: Connection, collection: str, sources: Collection[str] | None = None) -> int:
    """Delete these documents of a collection, or all of them; returns how many there were."""

    def chosen(table: Table) -> ColumnElement[bool]:
        of = table.c.collection == collection
        return of if sources is None else and_(of, table.c.source.in_(sources))

    its = select(passages.c.passage_id).where(chosen(passages))
    connection.execute(delete(embeddings).where(embeddings.c.passage_id.in_(its)))
    connection.execute(delete(passages).where(chosen(passages)))
    return connection.execute(delete(documents).where(chosen(documents))).rowcount


def forget(connection: Connection, user: str, agent: str | None = None) -> int:
    """Delete what agents remember of a user, or one agent; returns the number of memories.

    An empty `user` is for what they remember outside sessions.
    """
    of = documents.c.collection
    begin = f"{MEMORY}{agent}:" if agent else MEMORY
    query = select(of).distinct().where(of.startswith(begin, autoescape=True))
    names = [it for it in connection.execute(query).scalars() if it.split(":", 2)[2] == user]
    return sum(remove(connection, name) for name in names)
