"""Statements that differ between SQLite and PostgreSQL in SQLAlchemy."""

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
    """An INSERT that has the `on_conflict_…` methods."""
    return PostgresqlInsert(table) if dialect == "postgresql" else SqliteInsert(table)


def upsert(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    return insert_into(connection.dialect.name, table)


def insert_new(
    connection: Connection, table: Table, fields: Mapping[str, object], *, stamp: str | None = None
) -> bool:
    """Insert a row unless its key exists; returns whether it was inserted.

    `stamp` names a column that gets the store's current time.
    """
    statement = _new(connection.dialect.name, table, stamp)
    return bool(connection.execute(statement, fields).rowcount)


def lock_name(connection: Connection, name: str) -> None:
    """Lock a name until the commit. SQLite needs no lock: its writing transactions are serial."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


@cache  # building the statement takes longer than running it
def _new(dialect: str, table: Table, stamp: str | None) -> Insert:
    statement = insert_into(dialect, table).on_conflict_do_nothing()
    return statement.values({stamp: now_s()}) if stamp else statement
