"""Statements that differ between SQLite and PostgreSQL in SQLAlchemy."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Connection
from sqlalchemy.sql.dml import ReturningInsert

from shared.store.database.prepared import Prepared
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
    statement = _new(table, tuple(fields), stamp)
    return bool(statement.rows(connection, fields))


def lock_name(connection: Connection, name: str) -> None:
    """Lock a name until the commit. SQLite needs no lock: its writing transactions are serial."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


@cache
def _new(table: Table, given: tuple[str, ...], stamp: str | None) -> Prepared:
    stamped = {stamp: now_s()} if stamp else {}
    key, *_ = table.primary_key

    def source(dialect: str) -> ReturningInsert[Any]:
        insert = insert_into(dialect, table).values(stamped)
        return insert.on_conflict_do_nothing().returning(key)

    return Prepared(source, given)
