"""The tables of texts that are found by their words, and by their meaning.

The index of words is the database's own and not declared here: on SQLite the FTS5 table
`passage_words`, on PostgreSQL the generated column `passages.words`.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table, Text

from shared.store.schema import metadata

__all__ = ["documents", "embeddings", "metadata", "passages"]

_Id = BigInteger().with_variant(Integer, "sqlite")

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
    Column("passage_id", _Id, primary_key=True, autoincrement=True),
    Column("collection", String(200), nullable=False),
    Column("source", String(500), nullable=False),
    Column("position", Integer, nullable=False),
    Column("text", Text, nullable=False),
)
Index("passages_source", passages.c.collection, passages.c.source)

embeddings = Table(
    "embeddings",
    metadata,
    Column("passage_id", _Id, primary_key=True, autoincrement=False),
    Column("model", String(200), primary_key=True),
    Column("collection", String(200), nullable=False),
    Column("signs", LargeBinary, nullable=False),
    Column("scale", Float(53), nullable=False),
    Column("numbers", LargeBinary, nullable=False),
)
"""Embeddings of passages: `numbers` are signed bytes, to be multiplied by `scale`; `signs` has a
bit for each."""

Index("embeddings_collection", embeddings.c.collection, embeddings.c.model)
