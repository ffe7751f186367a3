"""Alembic's entry point: runs in the connection and transaction that `migrate` passes to it."""

from alembic import context

from shared.store.knowledge.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
