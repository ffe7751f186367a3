"""The one statement that SQLAlchemy doesn't offer for both dialects at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Table, func, select
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import Insert

from shared.store.schema import now_s


def insert_into(dialect: str, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An INSERT that can be told what to do on a conflict."""
    return PostgresqlInsert(table) if dialect == "postgresql" else SqliteInsert(table)


def upsert(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    return insert_into(connection.dialect.name, table)


def insert_new(
    connection: Connection, table: Table, fields: Mapping[str, object], *, stamp: str | None = None
) -> bool:
    """Insert a row unless its key is there; returns whether it is new. `stamp` is set to now."""
    statement = _new(connection.dialect.name, table, stamp)
    return bool(connection.execute(statement, fields).rowcount)


def lock_name(connection: Connection, name: str) -> None:
    """Hold a name until the commit: writing transactions on SQLite are one at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


@cache  # to build a statement takes longer than to run it
def _new(dialect: str, table: Table, stamp: str | None) -> Insert:
    statement = insert_into(dialect, table).on_conflict_do_nothing()
    return statement.values({stamp: now_s()}) if stamp else statement
