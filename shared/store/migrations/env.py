"""Alembic's entry: runs inside the connection and transaction that `migrate` hands it."""

from alembic import context

from shared.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
