"""Searching runs by the text of their messages and responses, newest first.

There is no index of texts: it would cost every run a write. So the runs are read in windows, from
the newest back, and a search can end at any window and be continued from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, RowMapping, or_, select, tuple_
from sqlalchemy.engine import Connection

from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.store.queries.reports import (
    LATEST_FIRST,
    Row,
    RunFilter,
    conditions,
    find,
    rows_of,
)
from shared.store.schema import runs

WINDOW = 5_000
"""The runs of one statement, which takes some 20 ms."""
MOST_READ = 200
"""The most runs of a window whose texts are compared here."""
_TEXTS = (runs.c.message, runs.c.response, runs.c.session, runs.c.task_id)


@dataclass(frozen=True)
class Window:
    """The runs of a window with the text. `before` and `before_at` are where the next one begins,
    see `RunFilter`; `before` is None after the oldest run."""

    found: Sequence[Row]
    before: str | None
    before_at: float = 0.0

    @property
    def searched_to(self) -> datetime | None:
        """All runs that were claimed later have been searched."""
        return datetime.fromtimestamp(self.before_at, UTC) if self.before else None


def with_id(connection: Connection, wanted: RunFilter, text: str) -> Sequence[Row]:
    """The wanted runs that have the text as their id, as the beginning of it, or as their task's
    id."""
    ids = [row.run_id for row in find(connection, text)]
    query = select(runs.c.run_id).where(runs.c.run_id.in_(ids), *conditions(wanted))
    found = connection.execute(query.order_by(*LATEST_FIRST)).scalars().all()
    return rows_of(connection, found)


def window(
    connection: Connection, wanted: RunFilter, text: str, limit: int, *, size: int = WINDOW
) -> Window:
    """Search the next runs after `wanted.before`; letters match in either case."""
    place = runs.c.claimed_at, runs.c.run_id
    after = [*conditions(RunFilter(before=wanted.before, before_at=wanted.before_at))]
    keys = select(*place).where(*after).order_by(*LATEST_FIRST)
    last = connection.execute(keys.offset(size - 1).limit(1)).mappings().first()
    if last is not None:
        after.append(tuple_(*place) >= (last["claimed_at"], last["run_id"]))
    most = min(MOST_READ, 2 * limit)
    matching = or_(*(_contains(connection, column, text) for column in _TEXTS))
    query = select(*place, *_TEXTS).where(*conditions(wanted), *after, matching)
    candidates = connection.execute(query.order_by(*LATEST_FIRST).limit(most)).mappings().all()
    if len(candidates) == most:  # the rest of the window is left to the next one
        last = candidates[-1]
    found: list[str] = []
    for row in candidates:
        if _has(row, text.casefold()):
            found.append(row["run_id"])
        if len(found) == limit:
            last = row
            break
    rows = rows_of(connection, found)
    return Window(rows, last["run_id"], last["claimed_at"]) if last else Window(rows, None)


def _contains(connection: Connection, column: Column[Any], text: str) -> ColumnElement[bool]:
    """A condition that every column with the text meets, and some without it.

    In stored JSON the text can also be the name of a field, and letters beyond ASCII match any.
    """
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    wild = {"%": "/%", "_": "/_", "/": "//"}
    like = "".join(wild.get(it, it) if it.isascii() else "_" for it in escaped)
    if connection.dialect.name == "postgresql":  # without a language it is ten times as fast
        return column.collate("C").ilike(f"%{like}%", escape="/")
    return column.like(f"%{like}%", escape="/")  # SQLite ignores the case of ASCII letters


def _has(row: RowMapping, text: str) -> bool:
    return any(text in it.casefold() for it in _texts(row))


def _texts(row: RowMapping) -> Iterator[str]:
    yield from (str(it) for it in (row["session"], row["task_id"]) if it)
    try:
        yield message_of(row["message"]).prompt
    except DamagedRow:
        yield str(row["message"])
    if row["response"]:
        try:
            yield response_of(row["response"]).content
        except DamagedRow:
            yield str(row["response"])
