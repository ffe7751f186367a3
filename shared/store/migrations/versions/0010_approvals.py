"""Requests for the approval of a call, and runs that are parked until it is decided."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("runs", sa.Column("parked_at", sa.Float(precision=53)))
    op.add_column(
        "runs", sa.Column("parked_s", sa.Float(precision=53), nullable=False, server_default="0")
    )
    op.drop_index("runs_open", "runs")
    op.drop_index("runs_ended", "runs")
    op.drop_index("runs_session_open", "runs")
    in_session = "session IS NOT NULL AND ended_at IS NULL"
    for name, columns, condition in (
        ("runs_active", ["agent", "due_at"], "ended_at IS NULL AND state <> 'parked'"),
        ("runs_parked", ["agent", "parked_at"], "state = 'parked'"),
        ("runs_ended", ["agent", "ended_at"], "ended_at IS NOT NULL"),
        ("runs_session_open", ["session", "agent", "ended_at"], in_session),
    ):
        where = sa.text(condition)
        op.create_index(name, "runs", columns, postgresql_where=where, sqlite_where=where)
    op.create_table(
        "approvals",
        sa.Column("approval_id", sa.String(length=16), primary_key=True),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("root_id", sa.String(length=128), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("definition", sa.String(length=32), nullable=False),
        sa.Column("asked_at", sa.Float(precision=53), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("decided_at", sa.Float(precision=53)),
        sa.Column("decided_by", sa.String(length=80)),
        sa.Column("note", sa.Text()),
    )
    op.add_column("webhooks", sa.Column("approval_id", sa.String(length=16)))
    pending = sa.text("state = 'pending'")
    for name, columns in (
        ("approvals_expiring", ["agent", "expires_at"]),
        ("approvals_pending", ["asked_at", "approval_id"]),
    ):
        op.create_index(name, "approvals", columns, postgresql_where=pending, sqlite_where=pending)
    op.create_index("approvals_run", "approvals", ["run_id"])
    op.create_index("approvals_root", "approvals", ["root_id"])
