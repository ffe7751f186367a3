"""Marks: what happens to a run between its steps, for its timeline. No decision depends on them.

A mark is written in the commit of the change that it describes. A run that is claimed, computed
and ended without trouble has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.engine import Connection

from shared.contract.rows import storable
from shared.store.database.dialect import insert_new
from shared.store.schema import INTEGER_MAX, marks


class MarkKind(StrEnum):
    STARTED = "started"
    """Taken when it was due: it had waited for a slot, was postponed, handed over or replayed."""
    TAKEN_OVER = "taken_over"
    """Taken from a dead process, which `reason` names."""
    POSTPONED = "postponed"
    """`reason` says why."""
    HANDED_OVER = "handed_over"
    REPLAYED = "replayed"
    PARKED = "parked"
    """`reason` names what it waits for."""


_LAST = {MarkKind.POSTPONED, MarkKind.HANDED_OVER, MarkKind.PARKED}
"""The marks with which an ownership ends; with the others one begins."""
_MOST_FENCE = INTEGER_MAX // 2 - 1
"""A larger fence is damaged, and its mark would have too large a number."""


@dataclass(frozen=True)
class Mark:
    run_id: str
    kind: MarkKind
    instance: str
    """The process that has taken the run or given it up; empty for a replay."""
    reason: str = ""


def record(connection: Connection, mark: Mark, fence: int) -> None:
    """Write a mark; the caller has locked the run's row. `fence` is the run's, after the change.

    Its number follows from the fence, so that a commit that is repeated writes it once.
    """
    if 1 <= fence <= _MOST_FENCE:
        number = 2 * fence + (mark.kind in _LAST)
        reason = storable(mark.reason)
        fields = vars(mark) | {"number": number, "reason": reason}
        insert_new(connection, marks, fields, stamp="at")
