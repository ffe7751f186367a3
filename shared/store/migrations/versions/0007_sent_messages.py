"""The ids of sent messages, so that they are known before an agent has taken them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "sent_messages",
        sa.Column("message_id", sa.String(length=128), primary_key=True),
        sa.Column("receiver", sa.String(length=255), primary_key=True),
        sa.Column("sent_at", sa.Float(precision=53), nullable=False),
    )
