"""Embeddings of passages, to find them by their meaning."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "embeddings",
        sa.Column(
            "passage_id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("model", sa.String(length=200), primary_key=True),
        sa.Column("collection", sa.String(length=200), nullable=False),
        sa.Column("signs", sa.LargeBinary(), nullable=False),
        sa.Column("scale", sa.Float(precision=53), nullable=False),
        sa.Column("numbers", sa.LargeBinary(), nullable=False),
    )
    op.create_index("embeddings_collection", "embeddings", ["collection", "model"])
