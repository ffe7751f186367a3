"""Rows for retries, starts of tool calls, cancels, pauses and shutdowns."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    failures = sa.Column("failures", sa.Integer(), nullable=False, server_default="0")
    op.add_column("runs", failures)
    op.create_table(
        "starts",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "epoch", "turn", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cancels",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("asked_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_table(
        "pauses",
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("paused_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("agent"),
    )
    op.create_table(
        "shutdowns",
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("asked_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("instance"),
    )
