"""PostgreSQL: operations run on the event loop, through SQLAlchemy's adapter for asyncpg."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.errors import SettingsError, StoreUnavailable
from shared.store.database.batch import DEFERRED, run_together
from shared.store.database.engine import Operation, run_in_turn
from shared.store.database.errors import AccessDenied, translated

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
"""The limit of one statement; ours take milliseconds."""


class PostgresqlDatabase:
    """A `Database` (see `shared.store.database.engine`) on a PostgreSQL server."""

    def __init__(self, address: Callable[[], str], pool_size: int) -> None:
        """`address` is called for each new connection; asyncpg reads TLS settings from its query.

        If it can't be read any more, `StoreUnavailable` is raised: it may be readable again later.
        """

        timeouts = {"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S}
        self._engine = create_async_engine(
            "postgresql+asyncpg://", pool_size=pool_size, max_overflow=0, connect_args=timeouts
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
                async with (self._engine if writes else self._reading).begin() as connection:
                    self._has_connected = True
                    return await connection.run_sync(operation)
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
            async with self._reading.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                try:
                    async with driver.transaction():
                        return await run_together(connection, operations)
                finally:
                    if driver.is_closed():
                        await connection.invalidate()

    async def close(self) -> None:
        await self._engine.dispose()
