"""Sessions: the order of their runs, and the earlier exchanges that each run is shown."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("runs", sa.Column("session", sa.String(length=128)))
    op.add_column("runs", sa.Column("session_place", sa.Integer()))
    op.add_column("runs", sa.Column("recalled", sa.Text()))
    for name, rows in (
        ("runs_session", "session IS NOT NULL"),
        ("runs_session_open", "session IS NOT NULL AND ended_at IS NULL"),
    ):
        op.create_index(
            name,
            "runs",
            ["session", "agent", "session_place"],
            postgresql_where=sa.text(rows),
            sqlite_where=sa.text(rows),
        )
