"""The newest runs are listed without reading all others."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index("runs_claimed", "runs", ["claimed_at", "run_id"])
