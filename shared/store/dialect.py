"""The one statement that SQLAlchemy doesn't offer for both dialects at once."""

from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Insert as PostgresqlInsert
from sqlalchemy.dialects.sqlite import Insert as SqliteInsert
from sqlalchemy.engine import Connection


def upsert(connection: Connection, table: Table) -> PostgresqlInsert | SqliteInsert:
    """An INSERT that can be told what to do on a conflict."""
    if connection.dialect.name == "postgresql":
        return PostgresqlInsert(table)
    return SqliteInsert(table)
