"""All that knows SQL. `open_store` gives a `Store`; the other modules hold its operations.

An operation is a plain function that takes a connection; `Store.write` writer it, grouped
with others, `Store.read` runs it without changing anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import inspect, select, text
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.settings.environment import Address
from shared.store.database.engine import BUSY_TIMEOUT_MS, Database, create
from shared.store.database.writer import Writer
from shared.store.schema import REVISION, identity

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long a read or write waits for a store that is away, unless its process has more time."""


class Store:
    def __init__(self, database: Database, writer: Writer, store_id: str) -> None:
        self._database = database
        self._writer = writer
        self.id = store_id
        self.here = writer.here
        self.away = writer.away
        """Opposite events: whether the last read or write reached the store."""

    @property
    def available(self) -> bool:
        return self.here.is_set()

    async def write(self, key: str, operation: Callable[[Connection], T]) -> T:
        """See `Writer.write`."""
        return await self._writer.write(key, operation)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation that changes nothing; as patient as `write`, and raises the same."""
        return await self._writer.until_available(lambda: self._database.run(operation))


@asynccontextmanager
async def open_store(
    address: Address,
    *,
    patience_s: float = PATIENCE_S,
    start_s: float = 0.0,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> AsyncIterator[Store]:
    """Open a migrated store; raises `StoreError` with the command to run when it isn't.

    A store that is away is waited for: `start_s` for the first answer, then `patience_s` for each.
    An SQLite file that another process locks counts as away after `busy_timeout_ms`.
    """
    database = create(address, busy_timeout_ms=busy_timeout_ms)
    writer = Writer(database, patience_s)
    job: asyncio.Task[None] | None = None
    try:
        store_id = await Writer(database, start_s).until_available(lambda: database.run(_identify))
        job = asyncio.create_task(writer.serve())
        yield Store(database, writer, store_id)
    finally:
        if job is not None:
            job.cancel()
            await asyncio.gather(job, return_exceptions=True)
        await database.close()


def _identify(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        raise StoreError("the store is empty; run 'hutch migrate' first")
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision != REVISION:
        raise StoreError(
            f"the store is at revision {revision}, this version needs {REVISION}; "
            "run 'hutch migrate' with the newest version"
        )
    store_id: str = connection.execute(select(identity.c.id)).scalar_one()
    return store_id
