"""Limits of models that all processes share."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "rate_limits",
        sa.Column("model", sa.String(length=200), primary_key=True),
        sa.Column("cooled_until", sa.Float(precision=53), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
    )
    op.create_table(
        "rate_leases",
        sa.Column("lease_id", sa.String(length=32), primary_key=True),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("granted_at", sa.Float(precision=53), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("returned_at", sa.Float(precision=53)),
        sqlite_with_rowid=False,
    )
    op.create_index("rate_leases_window", "rate_leases", ["model", "granted_at"])
    op.create_table(
        "rate_waits",
        sa.Column("run_id", sa.String(length=32), primary_key=True),
        sa.Column("model", sa.String(length=200), primary_key=True),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("priority", sa.String(length=11), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("rank", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.Float(precision=53), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("rate_waits_model", "rate_waits", ["model"])
