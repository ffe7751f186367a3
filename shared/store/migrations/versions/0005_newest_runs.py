"""The newest runs are listed without reading all others."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_index("runs_claimed", "runs", ["claimed_at", "run_id"])
