"""Statements of the hot path, compiled once and executed below SQLAlchemy's cost per call.

Each is written in SQLAlchemy's language, like all others, and returns rows: so the same operation
can run alone or, on PostgreSQL, in one round trip with others (see `shared.store.database.batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, Select, bindparam
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert, ReturningUpdate

Row = Sequence[Any]
Source = Select[Any] | ReturningInsert[Any] | ReturningUpdate[Any] | ReturningDelete[Any]

BATCH = "batch"
"""The key in `Connection.info` of the function that executes statements while a batch runs."""

_NUMBER = "batch_number"
"""A parameter and the last column on PostgreSQL: the operation of the batch that a row is for."""


@dataclass(frozen=True, eq=False)
class Form:
    """A statement in one dialect's SQL, with the names of its parameters in their order."""

    text: str
    names: Sequence[str]
    constants: Mapping[str, object]

    def values(self, given: Mapping[str, object]) -> list[object]:
        known = {**self.constants, **given}
        return [known[name] for name in self.names]

    def numbered(self, values: list[object], number: int) -> list[object]:
        values[self.names.index(_NUMBER)] = number
        return values


class Prepared:
    """A statement; `source` makes it for a dialect, and `given` are the columns of which an INSERT
    or UPDATE gets the values as parameters."""

    def __init__(self, source: Callable[[str], Source], given: Iterable[str] = ()) -> None:
        self._source = source
        self._given = list(given)
        self._forms: dict[str, Form] = {}

    def rows(self, connection: Connection, given: Mapping[str, object]) -> Sequence[Row]:
        """Execute the statement, and return its rows as the driver gives them."""
        dialect = connection.dialect
        form = self._forms.get(dialect.name) or self._compile(dialect)
        batch: Callable[[Form, list[object]], Sequence[Row]] | None = connection.info.get(BATCH)
        if batch is not None:
            return batch(form, form.values(given))
        cursor = connection.connection.cursor()
        try:
            cursor.execute(form.text, form.values(given))
            return cursor.fetchall()
        except dialect.loaded_dbapi.Error as error:
            lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
            if lost:
                connection.invalidate(error)
            raise DBAPIError(form.text, None, error, connection_invalidated=lost) from error
        finally:
            cursor.close()

    def _compile(self, dialect: Dialect) -> Form:
        source = self._source(dialect.name)
        if dialect.name == "postgresql":
            number = bindparam(_NUMBER, 0, type_=Integer()).label(_NUMBER)
            add = source.add_columns if isinstance(source, Select) else source.returning
            source = add(number)
        compiled = source.compile(dialect=dialect, column_keys=self._given or None)
        names = compiled.positiontup or ()
        constants = {name: compiled.binds[name].effective_value for name in names}
        form = self._forms[dialect.name] = Form(str(compiled), names, constants)
        return form
