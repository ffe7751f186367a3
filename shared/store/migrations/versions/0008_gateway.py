"""The gateway's keys, its audit, webhooks, and what a timeline of a run needs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    seconds = sa.Float(precision=53)
    op.add_column("steps", sa.Column("seconds", seconds))
    op.create_table(
        "marks",
        sa.Column("run_id", sa.String(length=32), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", seconds, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(length=16), primary_key=True),
        sa.Column("name", sa.String(length=80), nullable=False, unique=True),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=40), nullable=False),
        sa.Column("agents", sa.Text(), nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("revoked_at", seconds),
    )
    op.create_table(
        "audit",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("at", seconds, nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("key_name", sa.String(length=80), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
    )
    op.create_index("audit_at", "audit", ["at"])
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.String(length=64), primary_key=True),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("due_at", seconds, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("delivered_at", seconds),
        sa.Column("given_up_at", seconds),
    )
    pending = sa.text("delivered_at IS NULL AND given_up_at IS NULL")
    op.create_index(
        "webhooks_pending",
        "webhooks",
        ["due_at"],
        postgresql_where=pending,
        sqlite_where=pending,
    )
