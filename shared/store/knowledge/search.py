"""Searching a collection for passages that have words of a query, the best first.

Words are compared by their stems, as in English; a rare word counts more than a common one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from shared.store.knowledge.tables import passages

MOST_WORDS = 64
"""The number of different words of a query that are used, the first."""

RANK_OFFSET = 60
"""Usual for reciprocal ranks: with less, the first of one ranking outweighs the second of both."""

_WORD = re.compile(r"[^\W_]+")
COMMON = """
a about also an and any are as at be been but by can could did do does for from had has have how i
if in into is it its just me my no not of on or our should so such than that the their them then
there these they this to us was we were what when where which who why will with would you your
"""
"""English words that say nothing about a text. SQLite would compare nearly all passages."""
_COMMON = frozenset(COMMON.split())


@dataclass(frozen=True)
class Passage:
    """A part of a document; `position` counts from 1."""

    source: str
    position: int
    text: str


def search(connection: Connection, collection: str, query: str, limit: int) -> list[Passage]:
    """The passages of a collection that fit a query best; none if it has no word of theirs."""
    words = [it for it in dict.fromkeys(_WORD.findall(query.casefold())) if it not in _COMMON]
    del words[MOST_WORDS:]
    if not words:
        return []
    given = {"collection": collection, "most": limit}
    if connection.dialect.name == "postgresql":
        found = connection.execute(_POSTGRESQL, {**given, "words": words})
    else:
        asked = " OR ".join(f'"{word}"' for word in words)
        found = connection.execute(_SQLITE, {**given, "asked": asked})
    return [Passage(*row) for row in found]


def fused(rankings: Iterable[Iterable[Passage]], limit: int) -> list[Passage]:
    """One ranking of several, by the sums of reciprocal ranks, the best first."""
    scores: defaultdict[Passage, float] = defaultdict(float)
    for ranking in rankings:
        for rank, it in enumerate(ranking, 1):
            scores[it] += 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=scores.__getitem__, reverse=True)[:limit]


def newest(connection: Connection, collection: str, limit: int) -> list[Passage]:
    """The passages that were stored last, the newest first."""
    columns = (passages.c.source, passages.c.position, passages.c.text)
    query = select(*columns).where(passages.c.collection == collection)
    found = connection.execute(query.order_by(passages.c.passage_id.desc()).limit(limit))
    return [Passage(*row) for row in found]


_SQLITE = text("""
    SELECT passages.source, passages.position, passages.text
    FROM passage_words JOIN passages ON passages.passage_id = passage_words.rowid
    WHERE passage_words MATCH :asked AND passages.collection = :collection
    ORDER BY bm25(passage_words), passages.passage_id LIMIT :most
""")

# PostgreSQL's own ranks don't know how rare a word is, so each word is ranked by itself. Without
# MATERIALIZED, words would be parsed and counted again for each passage.
_POSTGRESQL = text("""
    WITH asked AS MATERIALIZED (
        SELECT DISTINCT plainto_tsquery('english', word) AS word
        FROM unnest(CAST(:words AS text[])) AS word
    ), total AS MATERIALIZED (
        SELECT count(*) AS passages FROM passages WHERE collection = :collection
    ), counted AS MATERIALIZED (
        SELECT word, (
            SELECT count(*) FROM passages WHERE collection = :collection AND words @@ word
        ) AS matches FROM asked WHERE numnode(word) > 0
    ), rated AS MATERIALIZED (
        SELECT word, ln(1 + (passages - matches + 0.5) / (matches + 0.5)) AS rarity
        FROM counted, total WHERE matches > 0
    ), found AS MATERIALIZED (
        SELECT passage_id, sum(rarity * ts_rank(words, word, 1)) AS score
        FROM rated JOIN passages ON words @@ word WHERE collection = :collection
        GROUP BY passage_id ORDER BY score DESC, passage_id LIMIT :most
    )
    SELECT source, position, text FROM found JOIN passages USING (passage_id)
    ORDER BY score DESC, passage_id
""")
