"""What the agents of a machine have in common, prepared once in the process that forks them."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress

import services.agent.__main__  # noqa: F401 - all that an agent imports
from services.agent.llm.transport import rehearse, tls_context
from shared.definitions.models.profiles import profile
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store.database.engine import SqliteDatabase, create
from shared.store.runs.rehearsal import rehearse_in_memory

IMPORTED_LATE = ("uvicorn.protocols.http.h11_impl", "uvicorn.lifespan.off", "encodings.idna")
"""Imported at their first use otherwise."""


def preload() -> None:
    """Import modules, and fill caches. Starts no thread, opens no connection, and reads no agent's
    file."""
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    rehearse()
    profile("", "").context("")  # compiles patterns
    with suppress(OSError, HutchError):  # each process reports its wrong settings
        if sys.platform != "darwin":  # macOS's certificates can't be used on both sides of a fork
            tls_context()
        database = create(Settings.from_environment().store)  # imports the driver
        if isinstance(database, SqliteDatabase):
            rehearse_in_memory()
