"""The first schema."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "definitions",
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "instances",
        sa.Column("instance", sa.String(length=64), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("instance"),
    )
    op.create_table(
        "notes",
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("peer", sa.String(length=40), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("agent", "message_id"),
    )
    op.create_table(
        "outbox",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("exchange", sa.String(length=255), nullable=False),
        sa.Column("routing_key", sa.String(length=255), nullable=False),
        sa.Column("message_id", sa.String(length=255), nullable=False),
        sa.Column("correlation_id", sa.String(length=255)),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("undeliverable_at", sa.Float(precision=53)),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "outbox_unsent",
        "outbox",
        ["agent"],
        postgresql_where=sa.text("undeliverable_at IS NULL"),
        sqlite_where=sa.text("undeliverable_at IS NULL"),
    )
    op.create_table(
        "requesters",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("reply_to", sa.String(length=255), nullable=False),
        sa.Column("correlation_id", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "reply_to", "correlation_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "steps",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "epoch", "turn", "position"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "store",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "ticks",
        sa.Column("tick_id", sa.String(length=128), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("schedule", sa.String(length=40), nullable=False),
        sa.Column("nominal_at", sa.Float(precision=53), nullable=False),
        sa.Column("decided_at", sa.Float(precision=53), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("message", sa.Text()),
        sa.Column("tried_at", sa.Float(precision=53)),
        sa.PrimaryKeyConstraint("tick_id"),
    )
    op.create_index("ticks_by_schedule", "ticks", ["agent", "schedule", "nominal_at"])
    op.create_index(
        "ticks_sending",
        "ticks",
        ["tried_at"],
        postgresql_where=sa.text("outcome = 'sending'"),
        sqlite_where=sa.text("outcome = 'sending'"),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.Column("agent", sa.String(length=40), nullable=False),
        sa.Column("task_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("definition", sa.String(length=32), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("root_id", sa.String(length=128), nullable=False),
        sa.Column("parent_id", sa.String(length=128)),
        sa.Column("deadline_at", sa.Float(precision=53), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("due_at", sa.Float(precision=53), nullable=False),
        sa.Column("owner", sa.String(length=64)),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("claimed_at", sa.Float(precision=53), nullable=False),
        sa.Column("ended_at", sa.Float(precision=53)),
        sa.Column("status", sa.String(length=10)),
        sa.Column("response", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.ForeignKeyConstraint(
            ["definition"],
            ["definitions.hash"],
        ),
        sa.PrimaryKeyConstraint("run_id"),
    )
    op.create_index("runs_ended", "runs", ["agent", "ended_at"])
    op.create_index(
        "runs_open",
        "runs",
        ["agent", "due_at"],
        postgresql_where=sa.text("state <> 'ended'"),
        sqlite_where=sa.text("state <> 'ended'"),
    )
    op.create_index("runs_root", "runs", ["root_id"])
    store = sa.table("store", sa.column("id", sa.String))
    op.bulk_insert(store, [{"id": uuid4().hex}])
