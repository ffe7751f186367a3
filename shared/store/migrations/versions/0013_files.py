"""Files in the results of tools."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("run_id", sa.String(length=32), primary_key=True),
        sa.Column("digest", sa.String(length=64), primary_key=True),
        sa.Column("media_type", sa.String(length=128), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("kept_at", sa.Float(precision=53), nullable=False),
    )
