from __future__ import annotations

import inspect
import sqlite3
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it has no types
import pytest
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from shared.errors import RunLost, StoreError, StoreUnavailable
from shared.store.database.errors import translated


def kinds(module: object, root: type[BaseException]) -> list[type[BaseException]]:
    found = (kind for _, kind in inspect.getmembers(module, inspect.isclass))
    return [kind for kind in found if issubclass(kind, root) and not issubclass(kind, Warning)]


def made(kind: Any) -> BaseException:
    """An error of a kind, however its kind is made."""
    error: BaseException = kind.__new__(kind, "said\nmore")
    if issubclass(kind, exc.DBAPIError):
        error = kind("SELECT secret", {}, sqlite3.Error("said\nmore"))
    elif issubclass(kind, exc.StatementError):
        error = kind("said\nmore", "SELECT secret", {}, ValueError("said"))
    elif issubclass(kind, asyncpg.InterfaceError):
        error = kind("said\nmore")
    return error


def of_driver(orig: BaseException) -> exc.DBAPIError:
    return exc.DBAPIError("SELECT secret", {}, orig)


FOREIGN = [
    *kinds(exc, exc.SQLAlchemyError),
    *kinds(asyncpg.exceptions, asyncpg.PostgresError),
    *kinds(asyncpg.exceptions, asyncpg.InterfaceError),
    *kinds(sqlite3, sqlite3.Error),
    OSError,
    ConnectionRefusedError,
    TimeoutError,
    UnicodeError,
]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_no_foreign_error_escapes(kind: type[BaseException]) -> None:
    error = made(kind)
    with pytest.raises(StoreError) as caught, translated():
        raise error
    assert "\n" not in str(caught.value)
    assert "SELECT" not in str(caught.value)
    assert caught.value.__cause__ is error


def with_code(name: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(name)
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_{name}")
    return error


@pytest.mark.parametrize(
    "name", ["BUSY", "BUSY_SNAPSHOT", "FULL", "IOERR", "IOERR_FSYNC", "READONLY"]
)
def test_a_locked_full_or_read_only_disk_passes(name: str) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise of_driver(with_code(name))


@pytest.mark.parametrize("name", ["ERROR", "CONSTRAINT", "CORRUPT"])
def test_permanent_errors_of_sqlite_are_not_retried(name: str) -> None:
    with pytest.raises(StoreError) as caught, translated():
        raise of_driver(with_code(name))
    assert not isinstance(caught.value, StoreUnavailable)


def adapted(error: Exception) -> exc.DBAPIError:
    """An error of asyncpg's as SQLAlchemy wraps it."""
    dialect: Any = PGDialect_asyncpg  # this part of it has no types
    orig = dialect.import_dbapi().Error("said", error)
    orig.__cause__ = error
    return of_driver(orig)


@pytest.mark.parametrize(
    "kind",
    [
        asyncpg.DeadlockDetectedError,
        asyncpg.SerializationError,
        asyncpg.AdminShutdownError,
        asyncpg.CannotConnectNowError,
        asyncpg.TooManyConnectionsError,
        asyncpg.DiskFullError,
        asyncpg.ConnectionDoesNotExistError,
        asyncpg.InterfaceError,
    ],
)
def test_a_server_that_shuts_down_or_breaks_a_deadlock_passes(kind: type[Exception]) -> None:
    with pytest.raises(StoreUnavailable), translated():
        raise adapted(kind("said"))


@pytest.mark.parametrize(
    "kind",
    [asyncpg.UndefinedTableError, asyncpg.CharacterNotInRepertoireError, asyncpg.DataError],
)
def test_permanent_errors_of_postgresql_are_not_retried(kind: type[Exception]) -> None:
    with pytest.raises(StoreError) as caught, translated():
        raise adapted(kind("said"))
    assert not isinstance(caught.value, StoreUnavailable)


@pytest.mark.parametrize("error", [RunLost("gone"), KeyError("a fault of ours")])
def test_errors_that_are_not_the_stores_pass_through(error: Exception) -> None:
    with pytest.raises(type(error)), translated():
        raise error
