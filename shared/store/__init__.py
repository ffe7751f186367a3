"""The store, and all SQL. `open_store` opens a `Store`; the other modules hold its operations.

An operation is a plain function of a connection. `Store.write` runs and commits it, grouped with
others; `Store.read` runs one that changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from sqlalchemy import inspect, select, text
from sqlalchemy.engine import Connection

from shared.errors import StoreError
from shared.settings.secrets import Address
from shared.store.database.engine import BUSY_TIMEOUT_MS, Database, create
from shared.store.database.writer import Writer
from shared.store.schema import REVISION, identity

T = TypeVar("T")

RETRY_FOR_S = 60.0
"""How long a read or write is retried while the store is unavailable, by default."""


class Store:
    def __init__(self, database: Database, writer: Writer, store_id: str) -> None:
        self._database = database
        self._writer = writer
        self.id = store_id
        self.reachable = writer.reachable
        self.unreachable = writer.unreachable
        """One of these two events is set: whether the last read or write reached the store."""

    @property
    def available(self) -> bool:
        return self.reachable.is_set()

    async def write(
        self, key: str, operation: Callable[[Connection], T], within_s: float = 0.0
    ) -> T:
        """Run an operation and commit it, see `Writer.write`."""
        return await self._writer.write(key, operation, within_s)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Run an operation that changes nothing; retries and raises as `write` does."""
        return await self._writer.until_available(lambda: self._database.run(operation))


@asynccontextmanager
async def open_store(
    address: Address,
    *,
    retry_for_s: float = RETRY_FOR_S,
    start_s: float = 0.0,
    busy_timeout_ms: int = BUSY_TIMEOUT_MS,
) -> AsyncIterator[Store]:
    """Open a store; raises `StoreError`, which names the command to run, if it is not migrated.

    While the store is unavailable, opening it is retried for `start_s` and each later read and
    write for `retry_for_s`; then `StoreUnavailable` is raised. An
    SQLite file that another process locks is unavailable after `busy_timeout_ms`.
    """
    database = create(address, busy_timeout_ms=busy_timeout_ms)
    writer = Writer(database, retry_for_s)
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
