"""Protection from other clients: ids that can't be guessed, and dead letters kept in the store."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column(
        "runs", sa.Column("nonce", sa.String(length=16), nullable=False, server_default="")
    )
    op.add_column("ticks", sa.Column("message_id", sa.String(length=128)))
    op.create_table(
        "dead_letters",
        sa.Column("letter_id", sa.String(length=128), primary_key=True),
        sa.Column("routing_key", sa.String(length=255), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("kept_at", sa.Float(precision=53), nullable=False),
    )
