"""Upgrading a store to the newest schema: `hutch migrate`. Repeated and parallel calls are safe."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.settings.secrets import Address
from shared.store.database.engine import create
from shared.store.database.errors import translated

MIGRATIONS = str(Path(__file__).parents[1] / "migrations")
LOCK = 0x48757463
"""Our advisory lock on PostgreSQL; SQLite's writing transaction is the lock there."""

MIGRATE_TIMEOUT_S = 300


async def migrate(address: Address) -> None:
    """Create or upgrade the tables. Raises `StoreUnavailable` or `StoreError`."""
    database = create(address)
    try:
        with translated():
            async with asyncio.timeout(MIGRATE_TIMEOUT_S):
                await database.run(_upgrade, writes=True)
    finally:
        await database.close()


def _upgrade(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
