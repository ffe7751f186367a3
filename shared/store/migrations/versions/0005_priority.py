"""The priority of runs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    priority = sa.Column(
        "priority", sa.String(length=11), nullable=False, server_default="interactive"
    )
    op.add_column("runs", priority)
