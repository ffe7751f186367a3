"""The rows that the timeline of a tree of runs needs, without texts. Nothing is locked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from sqlalchemy import func, select, tuple_
from sqlalchemy.engine import Connection

from shared.store.queries.reports import Row, family
from shared.store.schema import LATEST_S, definitions, marks, now_s, runs, steps

LATE_S = 10.0
"""The longest time from a row's stamp to its commit: what is stamped earlier has been seen."""
_BEGINNING = 6_000
"""The part of a stored message that is read for the times in it."""
_AT_ONCE = 500

T = TypeVar("T")


class StepTime(NamedTuple):
    """A finished step; times are in seconds."""

    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    finished_at: float
    seconds: float | None


class MarkRow(NamedTuple):
    kind: str
    instance: str
    reason: str
    at: float


@dataclass(frozen=True)
class RunLine:
    """One run of a tree."""

    row: Row
    beginning: str
    """The first part of its stored message."""
    claimed_at: float
    ended_at: float | None
    epoch: int
    definition: str
    """The hash of its definition."""
    steps: Sequence[StepTime]
    marks: Sequence[MarkRow]


@dataclass(frozen=True)
class TreeLines:
    now: float
    """The time on the store's clock."""
    steps: int
    """The number of finished steps in the whole tree."""
    rows: Sequence[Row]
    """All runs of the tree, oldest first."""
    lines: Sequence[RunLine]
    """Those that have changed."""


def tree(connection: Connection, root_id: str, since: float | None = None) -> TreeLines:
    """The runs that a root message has caused; `lines` only of those that may have changed since
    then, by the store's clock."""
    now = connection.execute(select(now_s())).scalar_one()
    rows = family(connection, root_id)
    numbers, latest = _latest(connection, [row.run_id for row in rows])
    changed = [
        row
        for row in rows
        if since is None or row.ended_at is None or latest.get(row.run_id, now) > since - LATE_S
    ]
    return TreeLines(now, numbers, rows, _lines(connection, changed))


def _latest(connection: Connection, run_ids: Sequence[str]) -> tuple[int, Mapping[str, float]]:
    """The number of steps of these runs, and when each run has changed last."""
    number, latest = 0, dict[str, float]()
    for ids in _portions(run_ids):
        query = select(steps.c.run_id, func.count(), func.max(steps.c.finished_at))
        for run_id, count, at in connection.execute(
            query.where(steps.c.run_id.in_(ids)).group_by(steps.c.run_id)
        ):
            number += count
            latest[run_id] = at if _is_time(at) else LATEST_S
        ended = select(runs.c.run_id, runs.c.ended_at).where(runs.c.run_id.in_(ids))
        for run_id, at in connection.execute(ended.where(runs.c.ended_at.is_not(None))):
            latest[run_id] = max(latest.get(run_id, 0.0), at if _is_time(at) else LATEST_S)
    return number, latest


def _lines(connection: Connection, rows: Sequence[Row]) -> Sequence[RunLine]:
    found: list[RunLine] = []
    for some in _portions(rows):
        ids = [row.run_id for row in some]
        done = _steps(connection, ids)
        marked = _marks(connection, ids)
        query = select(
            runs.c.run_id,
            func.substr(runs.c.message, 1, _BEGINNING).label("beginning"),
            runs.c.claimed_at,
            runs.c.ended_at,
            runs.c.epoch,
            runs.c.definition,
        ).where(runs.c.run_id.in_(ids))
        times = {it.run_id: it for it in connection.execute(query)}
        found += [
            RunLine(
                row,
                str(it.beginning),
                it.claimed_at,
                it.ended_at,
                it.epoch,
                it.definition,
                done.get(row.run_id, ()),
                marked.get(row.run_id, ()),
            )
            for row in some
            if (it := times.get(row.run_id)) is not None
            and _is_time(it.claimed_at)
            and (it.ended_at is None or _is_time(it.ended_at))
            and isinstance(it.epoch, int)
        ]
    return found


def _steps(connection: Connection, ids: Sequence[str]) -> dict[str, list[StepTime]]:
    """The steps of each run in the order of their ends; damaged ones are left out."""
    query = select(
        steps.c.run_id,
        steps.c.epoch,
        steps.c.turn,
        steps.c.position,
        steps.c.kind,
        steps.c.name,
        steps.c.finished_at,
        steps.c.seconds,
    )
    found: dict[str, list[StepTime]] = {}
    for run_id, *it in connection.execute(query.where(steps.c.run_id.in_(ids))):
        step = StepTime(*it)
        numbers = step.epoch, step.turn, step.position
        if all(isinstance(number, int) for number in numbers) and _is_time(step.finished_at):
            known = step.seconds is None or _is_time(step.seconds)
            found.setdefault(run_id, []).append(step if known else step._replace(seconds=None))
    for of_run in found.values():
        of_run.sort(key=lambda it: (it.finished_at, it.turn, it.position))
    return found


def marks_of(connection: Connection, run_id: str) -> Sequence[MarkRow]:
    """The marks of one run, in order."""
    return _marks(connection, [run_id]).get(run_id, ())


def _marks(connection: Connection, ids: Sequence[str]) -> dict[str, list[MarkRow]]:
    query = select(marks.c.run_id, marks.c.kind, marks.c.instance, marks.c.reason, marks.c.at)
    ordered = query.where(marks.c.run_id.in_(ids)).order_by(marks.c.run_id, marks.c.number)
    found: dict[str, list[MarkRow]] = {}
    for run_id, *it in connection.execute(ordered):
        mark = MarkRow(*it)
        if _is_time(mark.at):
            found.setdefault(run_id, []).append(mark)
    return found


def replies(
    connection: Connection, turns: Collection[tuple[str, int]]
) -> dict[tuple[str, int], str]:
    """The stored replies of the model in these turns, as (run, turn)."""
    place = tuple_(steps.c.run_id, steps.c.turn)
    query = select(steps.c.run_id, steps.c.turn, steps.c.output).where(steps.c.position == 0)
    return {
        (run_id, turn): str(output)
        for some in _portions(sorted(turns))
        for run_id, turn, output in connection.execute(query.where(place.in_(some)))
    }


def bodies(connection: Connection, hashes: Collection[str]) -> dict[str, str]:
    """The stored definitions with these hashes."""
    query = select(definitions.c.hash, definitions.c.body)
    return {
        digest: body
        for some in _portions(sorted(hashes))
        for digest, body in connection.execute(query.where(definitions.c.hash.in_(some)))
    }


def _is_time(value: object) -> bool:
    return isinstance(value, float | int) and -LATEST_S < value <= LATEST_S


def _portions(items: Sequence[T]) -> Sequence[Sequence[T]]:
    return [items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE)]
