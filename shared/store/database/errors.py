"""Translation of the database's errors into `StoreError`s; no other errors leave the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import StoreError, StoreUnavailable
from shared.settings import tls

TRANSIENT_SQLITE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,  # the race for the lock was lost too often
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,  # the disk is mounted read-only, or the file was moved
}

TRANSIENT_POSTGRESQL = {"08", "40", "53", "55", "57", "58"}
"""Classes of SQLSTATE: connection, rollback (deadlock), resources, lock, shutdown, system."""
READ_ONLY = "25006"
"""A standby, or a server that was demoted; transient, unlike the rest of its class."""


class AccessDenied(StoreError):
    """The store refused our user, or one side refused the other's certificate."""


_UNENCRYPTED = "rejected SSL upgrade"
"""asyncpg's text for a server without TLS when the address requires TLS."""


@contextmanager
def translated() -> Iterator[None]:
    """Translate errors to `StoreUnavailable`, if a retry can succeed, or else `StoreError`."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeout) as error:
        raise (
            _tls_error(error)
            or StoreUnavailable(f"the store can't be reached: {_first_line(error)}")
        ) from error
    except DBAPIError as error:
        orig = error.orig or error
        raise _store_error(orig, error.connection_invalidated or _is_transient(orig)) from error
    except (SQLAlchemyError, UnicodeError) as error:
        raise StoreError(f"the store refused: {_first_line(error)}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("asyncpg", "sqlite3")):
            raise
        raise _store_error(error, _is_transient(error)) from error


def _tls_error(error: BaseException) -> AccessDenied | None:
    reason = tls.refused(error) or ("no TLS there" if _UNENCRYPTED in str(error) else "")
    if not reason:
        return None
    return AccessDenied(
        f"no trust between here and the store ({reason}): correct sslmode, sslrootcert, "
        "sslcert and sslkey in HUTCH_STORE, its host name, or the server's certificate"
    )


def _store_error(error: BaseException, transient: bool) -> StoreError:
    if distrust := _tls_error(error):
        return distrust
    if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
        return StoreUnavailable("the store is locked by another program")
    if transient:
        return StoreUnavailable(f"the store is away or locked: {_first_line(error)}")
    if str(getattr(error, "sqlstate", None))[:2] in {"28", "3D"}:
        return AccessDenied(f"the store lets nobody in: {_first_line(error)}; check HUTCH_STORE")
    return StoreError(f"the store refused: {_first_line(error)}")


def _is_transient(error: BaseException) -> bool:
    """Whether the same statements can succeed later."""
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF in TRANSIENT_SQLITE
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in TRANSIENT_POSTGRESQL or state == READ_ONLY
    # Without a state the error is the driver's own: about a value, or else about its connection.
    return not any(isinstance(part, ValueError) for part in (error, error.__cause__))


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
