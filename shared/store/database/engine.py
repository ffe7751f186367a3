"""Connections to the database, with their settings for each dialect.

An operation is the same plain function of a connection for both dialects. For SQLite, whose calls
block, the whole operation runs in a thread; for PostgreSQL it runs on the event loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from shared.concurrency.retry import run_to_completion
from shared.errors import HutchError, SettingsError
from shared.settings.secrets import Address, current
from shared.settings.tls import check_files
from shared.store.database.errors import translated

T = TypeVar("T")
Operation = Callable[[Connection], T]

BUSY_TIMEOUT_MS = 10_000
"""How long SQLite waits for another process's write: a hundred times the longest one measured."""

POOL_SIZE = 3
"""One connection for the writer, two for readers."""

TLS_FILES = ("sslrootcert", "sslcert", "sslkey")
"""Parameters of PostgreSQL's address that name files, as libpq calls them."""


class Database(Protocol):
    async def run(self, operation: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Run an operation in a transaction of its own, committed when this returns.

        Raises `StoreUnavailable`, `StoreError` or what the operation raised. After a cancellation
        or a lost connection it is unknown whether the transaction was committed.
        """

    async def run_group(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        """Run writing operations together; the result of each, or the `HutchError` that it raised
        before it wrote anything.

        Raises as `run` does if one fails otherwise; it is then unknown which were committed.
        """

    async def close(self) -> None: ...


class SqliteDatabase:
    """A `Database` in a file of SQLite."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._threads = ThreadPoolExecutor(POOL_SIZE, "store")

    async def run(self, operation: Callable[[Connection], T], *, writes: bool = False) -> T:
        loop = asyncio.get_running_loop()
        with translated():
            return await loop.run_in_executor(self._threads, self._run, operation, writes)

    async def run_group(self, operations: Sequence[Operation[Any]]) -> list[Any]:
        return await self.run(partial(run_in_turn, operations), writes=True)

    def _run(self, operation: Callable[[Connection], T], writes: bool) -> T:
        with self._engine.connect() as connection, connection.begin():
            # Take the write lock at once: SQLite may never grant the upgrade of a read lock.
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
            return operation(connection)

    async def close(self) -> None:
        await run_to_completion(asyncio.to_thread(self._close))

    def _close(self) -> None:
        self._threads.shutdown()
        self._engine.dispose()


def run_in_turn(operations: Sequence[Operation[Any]], connection: Connection) -> list[Any]:
    return [_outcome(operation, connection) for operation in operations]


def _outcome(operation: Operation[Any], connection: Connection) -> Any:
    try:
        return operation(connection)
    except HutchError as error:  # raised before it wrote anything: the rest of the group commits
        return error


def parse(url: str) -> URL:
    """The address with our drivers; raises `SettingsError` if it names another database."""
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise SettingsError(
            "HUTCH_STORE is no address; write sqlite:///path or postgresql://user:password@host/db"
        ) from None  # the error's text may hold a part of the password
    drivers = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+asyncpg"}
    backend = address.get_backend_name()
    if backend not in drivers:
        raise SettingsError(f"HUTCH_STORE names '{backend}'; write sqlite:///… or postgresql://…")
    return address.set(drivername=drivers[backend])


def sqlite_file(url: str) -> Path | None:
    """The file of a store in SQLite; None for PostgreSQL. Raises `SettingsError`."""
    address = parse(url)
    is_file = address.get_backend_name() == "sqlite" and address.database
    return Path(address.database or "") if is_file else None


def create(given: Address, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Database:
    """The database at an address, not yet connected. Raises `SettingsError`."""
    address = parse(current(given))
    if address.get_backend_name() == "postgresql":
        # Imported only if needed: it takes 9 MB in every agent's process.
        from shared.store.database.postgresql import PostgresqlDatabase

        _dsn(address)
        return PostgresqlDatabase(
            lambda: _dsn(_same_store(parse(current(given)), address)), POOL_SIZE
        )
    if not address.database or address.database == ":memory:":
        raise SettingsError("HUTCH_STORE needs a file: replicas share it; write sqlite:///path")
    with translated():
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, pool_size=POOL_SIZE)
    event.listen(engine, "connect", partial(_set_up_sqlite, busy_timeout_ms))
    return SqliteDatabase(engine)


def _location(address: URL) -> tuple[str, str | None, int | None, str | None]:
    return address.get_backend_name(), address.host, address.port, address.database


def _same_store(now: URL, first: URL) -> URL:
    """The address that holds now. Raises `SettingsError` if it names another store than at first:
    only the password may change while the process runs."""
    if _location(now) != _location(first):
        raise SettingsError("HUTCH_STORE names another store than before: restart to use that")
    return now


def _dsn(address: URL) -> str:
    """The address for asyncpg, with the password. Raises `SettingsError`."""
    check_files("HUTCH_STORE", {k: str(v) for k, v in address.query.items()}, TLS_FILES)
    return address.set(drivername="postgresql").render_as_string(hide_password=False)


def _set_up_sqlite(
    busy_timeout_ms: int, connection: DBAPIConnection, entry: ConnectionPoolEntry
) -> None:
    connection.isolation_level = None  # `SqliteDatabase` begins the transactions
    # One text that is not UTF-8 would make the whole query fail, with all its sound rows.
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
    _execute_when_free(cursor, "PRAGMA journal_mode = WAL", busy_timeout_ms / 1000)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _execute_when_free(cursor: DBAPICursor, statement: str, wait_s: float) -> None:
    """Execute a statement, and retry while the file is busy.

    When two processes change the mode of a new file at once, SQLite refuses one without waiting.
    """
    for attempt in Retrying(
        retry=retry_if_exception(_is_busy),
        wait=wait_random(max=0.05),
        stop=stop_after_delay(wait_s),
        reraise=True,
    ):
        with attempt:
            cursor.execute(statement)


def _is_busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
