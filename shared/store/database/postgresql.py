"""PostgreSQL: operations run on the event loop, through SQLAlchemy's adapter for asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.errors import SettingsError, StoreUnavailable
from shared.store.database.batch import DEFERRED, run_together
from shared.store.database.engine import Operation, run_in_turn
from shared.store.database.errors import READ_ONLY, AccessDenied, translated

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
"""The limit of one statement; ours take milliseconds."""
IDLE_MS = 5000
"""After so long within a transaction without a statement, the server ends the connection. A process
that is frozen, or whose machine is cut off, would keep its locks: others would wait for them."""


class PostgresqlDatabase:
    """A `Database` (see `shared.store.database.engine`) on a PostgreSQL server."""

    def __init__(
        self,
        address: Callable[[], str],
        pool_size: int,
        command_timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> None:
        """`address` is called for each new connection; asyncpg reads TLS settings from its query.

        If it can't be read any more, `StoreUnavailable` is raised: it may be readable again later.
        """

        options = {
            "timeout": CONNECT_TIMEOUT_S,
            "command_timeout": command_timeout_s,
            "server_settings": {"idle_in_transaction_session_timeout": str(IDLE_MS)},
        }
        self._engine = create_async_engine(
            "postgresql+asyncpg://", pool_size=pool_size, max_overflow=0, connect_args=options
        )

        def ask(_: object, __: object, ___: object, parameters: dict[str, object]) -> None:
            try:
                parameters["dsn"] = address()
            except SettingsError as error:
                raise StoreUnavailable(str(error)) from error

        # Reading needs no BEGIN and COMMIT: each would cost a round trip to the server.
        self._reading = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        event.listen(self._engine.sync_engine, "do_connect", ask)
        self._has_connected = False

    async def run(self, operation: Callable[[Connection], T], *, writes: bool = False) -> T:
        try:
            with translated():
                async with self._connection(self._engine if writes else self._reading) as it:
                    self._has_connected = True
                    transaction = await it.begin()
                    result = await it.run_sync(operation)
                    await transaction.commit()
                    return result
        except AccessDenied as error:
            if not self._has_connected:
                raise
            # A password or certificate is being changed: the next attempt reads the new address.
            raise StoreUnavailable(str(error)) from error

    async def run_group(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        together = await self._run_together(operations) if len(operations) > 1 else [DEFERRED]
        deferred = [it for it, done in zip(operations, together, strict=True) if done is DEFERRED]
        if not deferred:
            return together
        in_turn = iter(await self.run(partial(run_in_turn, deferred), writes=True))
        return [next(in_turn) if done is DEFERRED else done for done in together]

    async def _run_together(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        with translated():
            async with self._connection(self._reading) as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                async with driver.transaction():
                    return await run_together(connection, operations)

    @asynccontextmanager
    async def _connection(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool; without a commit its transaction is rolled back.

        After a timeout or a cancellation the connection is closed. A server that was frozen may
        still execute what it had received: a BEGIN that nobody would end, in which the heartbeats
        of this process would stay locked and unseen. A lost connection is given up here too:
        SQLAlchemy does not notice what happens to statements that the driver executes.
        """
        async with engine.connect() as connection:
            try:
                yield connection
            except BaseException as error:
                late = isinstance(error, TimeoutError | asyncio.CancelledError)
                if late or _is_read_only(error) or await _is_lost(connection):
                    await connection.invalidate()
                raise

    async def close(self) -> None:
        await self._engine.dispose()


async def _is_lost(connection: AsyncConnection) -> bool:
    if connection.invalidated:  # asking for the driver would connect again
        return False
    driver = (await connection.get_raw_connection()).driver_connection
    return driver is None or driver.is_closed()


def _is_read_only(error: BaseException) -> bool:
    """The server was demoted: the next connection may reach its successor."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "sqlstate", None) == READ_ONLY
