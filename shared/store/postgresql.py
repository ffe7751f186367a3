"""PostgreSQL: operations run on the event loop, by SQLAlchemy's bridge to asyncpg."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import create_async_engine

from shared.store.faults import translated

T = TypeVar("T")

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
"""Of one statement; ours take milliseconds."""


class Server:
    """See `shared.store.engine.Database`."""

    def __init__(self, address: URL, pool_size: int) -> None:
        timeouts = {"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S}
        self._engine = create_async_engine(address, pool_size=pool_size, connect_args=timeouts)

    async def run(self, operation: Callable[[Connection], T], *, writes: bool = False) -> T:
        with translated():
            async with self._engine.begin() as connection:
                return await connection.run_sync(operation)

    async def close(self) -> None:
        await self._engine.dispose()
