"""A group of operations on PostgreSQL, in as few round trips as one operation takes.

Each operation runs in a greenlet of its own, up to its next `Prepared` statement. The same
statement of all operations is then sent at once, in the order of the operations.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextvars import copy_context
from typing import Any

from greenlet import getcurrent, greenlet  # type: ignore[import-untyped]  # it has no types
from sqlalchemy.engine import Connection
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.errors import HutchError
from shared.store.database.engine import Operation
from shared.store.database.prepared import BATCH, Form, Row

DEFERRED = object()
"""The outcome of an operation that has written nothing: it needs a statement of another kind."""


class _Member:
    def __init__(self, operation: Operation[Any]) -> None:
        self._greenlet = greenlet(operation)
        self._greenlet.gr_context = copy_context()
        self._found = False
        self.waiting: tuple[Form, list[object]] | None = None
        self.outcome: Any = None

    def advance(self, value: Connection | Sequence[Row]) -> None:
        """Run the operation up to its next statement, with the rows of the statement before."""
        self.waiting = None
        self._found = self._found or (not isinstance(value, Connection) and bool(value))
        try:
            result = self._greenlet.switch(value)
        except HutchError as error:  # raised before it wrote anything: the others are committed
            self.outcome = error
        except MissingGreenlet:
            if self._found:  # it may have written: the group is rolled back
                raise
            self.outcome = DEFERRED
        else:
            if self._greenlet.dead:
                self.outcome = result
            else:
                self.waiting = result


async def run_together(
    connection: AsyncConnection, operations: Sequence[Operation[Any]]
) -> list[Any]:
    """The result of each operation, the `HutchError` that it raised, or `DEFERRED`.

    Raises SQLAlchemy's `MissingGreenlet` if an operation executes an unprepared statement after it
    has written.
    """
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    assert connection.sync_connection is not None
    info = connection.sync_connection.info
    info[BATCH] = _wait
    members = [_Member(operation) for operation in operations]
    try:
        for member in members:
            member.advance(connection.sync_connection)
        while any(member.waiting for member in members):
            for form, calls in _by_form(members).items():
                rows: dict[int, list[Row]] = {number: [] for number in calls}
                given = [form.numbered(values, number) for number, values in calls.items()]
                for row in await driver.fetchmany(form.text, given):
                    rows[row[-1]].append(row)
                for number, found in rows.items():
                    members[number].advance(found)
    finally:
        del info[BATCH]
    return [member.outcome for member in members]


def _wait(form: Form, values: list[object]) -> Sequence[Row]:
    rows: Sequence[Row] = getcurrent().parent.switch((form, values))
    return rows


def _by_form(members: Sequence[_Member]) -> dict[Form, dict[int, list[object]]]:
    calls: dict[Form, dict[int, list[object]]] = defaultdict(dict)
    for number, member in enumerate(members):
        if member.waiting is not None:
            form, values = member.waiting
            calls[form][number] = values
    return calls
