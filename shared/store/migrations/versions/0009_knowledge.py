"""Documents that are found by their words."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

SQLITE = (
    "CREATE VIRTUAL TABLE passage_words USING fts5("
    "text, content='passages', content_rowid='passage_id', "
    "tokenize='porter unicode61 remove_diacritics 2')",
    "CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN "
    "INSERT INTO passage_words(rowid, text) VALUES (new.passage_id, new.text); END",
    "CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN "
    "INSERT INTO passage_words(passage_words, rowid, text) "
    "VALUES ('delete', old.passage_id, old.text); END",
)
# Without `translate`, "asyncio.TaskGroup" would be one word.
POSTGRESQL = (
    "ALTER TABLE passages ADD COLUMN words tsvector GENERATED ALWAYS AS "
    "(to_tsvector('english', translate(text, '._-/:@', '      '))) STORED",
    "CREATE INDEX passages_words ON passages USING gin (words)",
)


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("collection", sa.String(length=200), primary_key=True),
        sa.Column("source", sa.String(length=500), primary_key=True),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("fault", sa.Text(), nullable=False),
        sa.Column("indexed_at", sa.Float(precision=53), nullable=False),
    )
    op.create_table(
        "passages",
        sa.Column(
            "passage_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("collection", sa.String(length=200), nullable=False),
        sa.Column("source", sa.String(length=500), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
    )
    op.create_index("passages_source", "passages", ["collection", "source"])
    connection = op.get_bind()
    for statement in SQLITE if connection.dialect.name == "sqlite" else POSTGRESQL:
        connection.exec_driver_sql(statement)
