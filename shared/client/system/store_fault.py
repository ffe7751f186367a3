"""Whether the store exists and can be written now, tried without a `Store`."""

from __future__ import annotations

import asyncio
from functools import partial

from shared.errors import StoreError
from shared.settings.environment import Settings
from shared.store.database.engine import create, sqlite_file
from shared.store.processes import heartbeats

WRITE_S = 2.0
"""A store that takes longer than this for a write is locked: usual are milliseconds."""


def is_missing(settings: Settings) -> bool:
    """Whether the store is a file that does not exist; opening it would create it."""
    file = sqlite_file(settings.store())
    return file is not None and not file.exists()


async def write_fault(settings: Settings) -> str | None:
    """Why the store can't be written now; None if it can, or if there is none.

    Takes `WRITE_S` if another program has locked the store. What is written changes nothing.
    """
    if is_missing(settings):
        return None
    database = create(settings.store(), busy_timeout_ms=round(WRITE_S * 1000))
    try:
        async with asyncio.timeout(2 * WRITE_S):
            await database.run(partial(heartbeats.remove, instance=""), writes=True)
    except TimeoutError:
        return "the store does not answer, or is locked by another program"
    except StoreError as error:
        return str(error)
    finally:
        await database.close()
    return None
