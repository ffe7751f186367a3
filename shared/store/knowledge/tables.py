"""The tables of texts that are found by their words.

The index of words is the database's own and not declared here: on SQLite the FTS5 table
`passage_words`, on PostgreSQL the generated column `passages.words`.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from shared.store.schema import metadata

__all__ = ["documents", "metadata", "passages"]

documents = Table(
    "documents",
    metadata,
    Column("collection", String(200), primary_key=True),
    Column("source", String(500), primary_key=True),
    Column("hash", String(64), nullable=False),
    Column("fault", Text, nullable=False),
    Column("indexed_at", Float(53), nullable=False),
)
"""`fault` is why a document has no passages; empty if it could be read."""

passages = Table(
    "passages",
    metadata,
    Column(
        "passage_id",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    Column("collection", String(200), nullable=False),
    Column("source", String(500), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
)
Index("passages_source", passages.c.collection, passages.c.source)
