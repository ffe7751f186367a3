"""The embeddings of passages, and the search for the passages whose embeddings are nearest.

An embedding is kept as one byte a number, and as one bit a number: its sign. A search compares the
bits of all, which is quick, and then the bytes of those that differ in the fewest bits.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from heapq import nlargest, nsmallest
from operator import itemgetter, mul

from sqlalchemy import ColumnElement, and_, delete, func, select, true
from sqlalchemy.engine import Connection

from shared.store.database.dialect import upsert
from shared.store.knowledge.search import Passage
from shared.store.knowledge.tables import embeddings, passages

COMPARED = 400_000
"""The bytes that are compared, in some 20 ms: those of 260 passages, if an embedding has 1,536. Of
shorter embeddings, whose bits say less, more are compared."""


def missing(connection: Connection, collection: str, model: str, limit: int) -> dict[int, str]:
    """The texts of passages that have no embedding by a model, by the passages' ids.

    They are chosen at random: processes that do this at the same time hardly ever choose the same.
    """
    having = select(embeddings.c.passage_id).where(_of(collection, model))
    query = select(passages.c.passage_id, passages.c.text).where(
        passages.c.collection == collection, passages.c.passage_id.not_in(having)
    )
    chosen = query.order_by(func.random()).limit(limit)
    return {row.passage_id: row.text for row in connection.execute(chosen)}


def add(
    connection: Connection, collection: str, model: str, vectors: Mapping[int, Sequence[float]]
) -> None:
    """Store embeddings, each of length 1, by the ids of their passages, unless those are gone."""
    there = select(passages.c.passage_id).where(passages.c.passage_id.in_(vectors))
    rows = [
        {"passage_id": it, "model": model, "collection": collection, **_stored(vectors[it])}
        for it in connection.execute(there).scalars()
    ]
    if rows:
        connection.execute(upsert(connection, embeddings).on_conflict_do_nothing(), rows)


def remove_others(connection: Connection, collection: str, model: str | None) -> int:
    """Delete a collection's embeddings by other models than this; None: all of them."""
    others = embeddings.c.model != model if model is not None else true()
    query = delete(embeddings).where(embeddings.c.collection == collection, others)
    return connection.execute(query).rowcount


def nearest(
    connection: Connection, collection: str, model: str, vector: Sequence[float], limit: int
) -> list[Passage]:
    """The passages whose embeddings are nearest to one of length 1, the nearest first."""
    signs = _signs(vector)
    bits, size = int.from_bytes(signs), len(signs)
    query = select(embeddings.c.passage_id, embeddings.c.signs).where(_of(collection, model))
    distances = [
        ((int.from_bytes(row[1]) ^ bits).bit_count(), row[0])
        for row in connection.execute(query)
        if len(row[1]) == size
    ]
    compared = [it for _, it in nsmallest(COMPARED // len(vector), distances)]
    columns = (passages.c.source, passages.c.position, passages.c.text)
    joined = select(embeddings.c.scale, embeddings.c.numbers, *columns).join_from(
        embeddings, passages, embeddings.c.passage_id == passages.c.passage_id
    )
    candidates = joined.where(embeddings.c.model == model, embeddings.c.passage_id.in_(compared))
    scored = [
        (scale * sum(map(mul, array("b", numbers), vector)), Passage(*passage))
        for scale, numbers, *passage in connection.execute(candidates)
    ]
    return [it for _, it in nlargest(limit, scored, key=itemgetter(0))]


def _of(collection: str, model: str) -> ColumnElement[bool]:
    return and_(embeddings.c.collection == collection, embeddings.c.model == model)


def _stored(vector: Sequence[float]) -> dict[str, object]:
    scale = max(map(abs, vector)) / 127
    numbers = array("b", (round(it / scale) for it in vector))
    return {"signs": _signs(vector), "scale": scale, "numbers": numbers.tobytes()}


def _signs(vector: Sequence[float]) -> bytes:
    bits = int("".join("1" if it > 0 else "0" for it in vector), 2)
    return bits.to_bytes((len(vector) + 7) // 8)
