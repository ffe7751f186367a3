"""The connection to the store, its settings per dialect, and its errors translated."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from shared.errors import SettingsError, StoreError, StoreUnavailable

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process's write: a hundred times the longest we saw."""

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
"""Of one statement on PostgreSQL; ours take milliseconds."""

POOL_SIZE = 3
"""One connection for the writer, two for readers."""

WRITES = "hutch_writes"


def parse(url: str) -> URL:
    """The address with our drivers in it; raises `SettingsError` for what we don't speak."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise SettingsError(
            "HUTCH_STORE is no address; write sqlite:///path or postgresql://user:password@host/db"
        ) from error
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    backend = address.get_backend_name()
    if backend not in drivers:
        raise SettingsError(f"HUTCH_STORE names '{backend}'; write sqlite:///… or postgresql://…")
    return address.set(drivername=drivers[backend])


def create(url: str) -> AsyncEngine:
    address = parse(url)
    if address.get_backend_name() == "postgresql":
        return create_async_engine(
            address,
            pool_size=POOL_SIZE,
            pool_pre_ping=False,
            connect_args={"timeout": CONNECT_TIMEOUT_S, "command_timeout": COMMAND_TIMEOUT_S},
        )
    if not address.database or address.database == ":memory:":
        raise SettingsError("HUTCH_STORE needs a file: replicas share it; write sqlite:///path")
    with translated():
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(address, pool_size=POOL_SIZE)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, see below
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the lock at once: a read lock that is raised later can fail for ever."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def translated() -> Iterator[None]:
    """Foreign errors become `StoreUnavailable` (try again) or `StoreError` (don't)."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeout) as error:
        raise StoreUnavailable(f"the store can't be reached: {_said(error)}") from error
    except (OperationalError, InterfaceError) as error:
        raise StoreUnavailable(f"the store is away or locked: {_said(error.orig)}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(f"the store went away: {_said(error.orig)}") from error
        raise StoreError(f"the store refused: {_said(error.orig)}") from error
    except SQLAlchemyError as error:
        raise StoreError(f"the store refused: {_said(error)}") from error
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the store's file can't be used: {_said(error)}") from error
    except Exception as error:
        if not type(error).__module__.startswith("asyncpg"):
            raise
        raise StoreUnavailable(f"PostgreSQL refused the connection: {_said(error)}") from error


def _said(error: BaseException | None) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
