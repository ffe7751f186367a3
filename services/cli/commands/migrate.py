"""`hutch migrate`: create or update the store's tables."""

from __future__ import annotations

import asyncio

from services.cli import output
from shared.settings.environment import Settings
from shared.store.database.migrate import migrate as migrate_store
from shared.store.schema import REVISION


def migrate() -> None:
    """Create the store's tables, or migrate them to this version; safe to repeat."""
    asyncio.run(migrate_store(Settings.from_environment().store()))
    output.say(f"the store is at revision {REVISION}")
