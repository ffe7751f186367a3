"""The content of sent messages that are not taken yet, so that an id is not used for two."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("sent_messages", sa.Column("content_hash", sa.String(length=32)))
