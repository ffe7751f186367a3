"""Rows as a disk, another program or another version may leave them, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Float, Integer, String, literal_column, update

from shared.store import Store
from shared.store.schema import INTEGER_MAX, runs, steps

TEXTS = (
    "garbage {",
    "7",
    '["a", {"b": null}]',
    f'{{"type": "task", "content": "x", "hops": {"9" * 4300}}}',
    "",
)
"""No JSON; JSON of another type; a number that is too large; nothing."""
WHOLES = (INTEGER_MAX, -1)
REALS = (1e300, -1e300)
SQLITE_ONLY = ("CAST(x'ff00' AS TEXT)", "x'ff00'", "'garbage'", "9e999")
"""SQLite stores anything in any column: text that is no UTF-8, bytes, text for a number."""
POSTGRESQL_ONLY = ("'NaN'", "'Infinity'")

KEYS = {"run_id", "agent", "turn", "position", "finished_at"}
"""The columns that identify a row: another value is another row."""

DAMAGED: Sequence[Column[Any]] = [
    column for table in (runs, steps) for column in table.c if column.key not in KEYS
]


def values(url: str, column: Column[Any]) -> Iterator[str]:
    """SQL for each damage that a store of this kind can hold in a column."""
    postgresql = url.startswith("postgresql")
    if column.nullable and column.key != "ended_at":  # it would be open again
        yield "NULL"
    if isinstance(column.type, String):
        longest = column.type.length or len(max(TEXTS, key=len))
        if not column.foreign_keys or not postgresql:
            yield from (f"'{text}'" for text in TEXTS if len(text) <= longest)
    elif isinstance(column.type, Integer):
        yield from map(str, WHOLES)
    elif isinstance(column.type, Float):
        yield from map(str, REALS)
        yield from POSTGRESQL_ONLY if postgresql else ()
    yield from () if postgresql else SQLITE_ONLY


async def damage(store: Store, run_id: str, column: Column[Any], value: str) -> None:
    table = column.table
    statement = update(table).where(table.c.run_id == run_id)
    await store.write(
        "", lambda db: db.execute(statement.values({column.key: literal_column(value)}))
    )
