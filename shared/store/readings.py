"""What a person asks of the store: read only, it locks nothing and holds nobody back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, Select, func, or_, select
from sqlalchemy.engine import Connection

from shared.store.runs import Exchanges, load_exchanges
from shared.store.schema import RunState, instances, outbox, runs, steps

MOST_MATCHES = 20
"""Runs that one short prefix may find before it says nothing any more."""


@dataclass(frozen=True)
class Load:
    """What one agent has to do: open runs by state, and responses not yet published."""

    due: int = 0
    running: int = 0
    waiting: int = 0
    unsent: int = 0


@dataclass(frozen=True)
class Beat:
    instance: str
    agent: str
    count: int


@dataclass(frozen=True)
class Row:
    """A run in a list. `status` is its state while it is open, then how it ended."""

    run_id: str
    agent: str
    task_id: str
    kind: str
    status: str
    root_id: str
    parent_id: str | None
    attempts: int
    claimed_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True)
class DoneStep:
    """A finished step; `output` is JSON, `position` 0 is the turn's model call."""

    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    output: str
    finished_at: datetime


@dataclass(frozen=True)
class Texts:
    """What was said in a run; `message` and `response` are bodies, `detail` is for operators."""

    message: str
    notes: tuple[str, ...]
    recalled: Exchanges
    response: str | None
    detail: str | None
    steps: tuple[DoneStep, ...]


def loads(connection: Connection) -> dict[str, Load]:
    """By agent; one that has nothing to do is left out."""
    counts: dict[str, dict[str, int]] = {}
    opened = (
        select(runs.c.agent, runs.c.state, func.count().label("number"))
        .where(runs.c.state != RunState.ENDED)
        .group_by(runs.c.agent, runs.c.state)
    )
    for row in connection.execute(opened):
        counts.setdefault(row.agent, {})[row.state] = row.number
    unsent = (
        select(outbox.c.agent, func.count().label("number"))
        .where(outbox.c.undeliverable_at.is_(None))
        .group_by(outbox.c.agent)
    )
    for row in connection.execute(unsent):
        counts.setdefault(row.agent, {})["unsent"] = row.number
    return {agent: Load(**numbers) for agent, numbers in counts.items()}


def beats(connection: Connection) -> list[Beat]:
    """Every instance that has not left cleanly; whose count stands still is dead."""
    query = select(instances.c.instance, instances.c.agent, instances.c.beat)
    return [Beat(*row) for row in connection.execute(query)]


_status = func.coalesce(runs.c.status, runs.c.state)


def newest(
    connection: Connection, agent: str | None, status: str | None, limit: int
) -> Sequence[Row]:
    """The latest runs first; None: of any agent, in any status."""
    query = _rows().order_by(runs.c.claimed_at.desc(), runs.c.run_id).limit(limit)
    if agent is not None:
        query = query.where(runs.c.agent == agent)
    if status is not None:
        query = query.where(_status == status)
    return _read(connection, query)


def find(connection: Connection, key: str) -> Sequence[Row]:
    """Runs by id, by the id's beginning, or by the task's id; a whole run's id finds one."""
    by_id = or_(runs.c.run_id.startswith(key, autoescape=True), runs.c.task_id == key)
    return _read(connection, _rows().where(by_id).order_by(runs.c.claimed_at).limit(MOST_MATCHES))


def family(connection: Connection, root_id: str) -> Sequence[Row]:
    """All runs that one message has caused, oldest first."""
    query = _rows().where(runs.c.root_id == root_id).order_by(runs.c.claimed_at, runs.c.run_id)
    return _read(connection, query)


def texts(connection: Connection, run_id: str) -> Texts:
    query = select(runs.c.message, runs.c.notes, runs.c.recalled, runs.c.response, runs.c.detail)
    run = connection.execute(query.where(runs.c.run_id == run_id)).one()
    done = select(steps).where(steps.c.run_id == run_id)
    ordered = done.order_by(steps.c.epoch, steps.c.turn, steps.c.position)
    found = tuple(_step(row) for row in connection.execute(ordered).mappings())
    notes = tuple(json.loads(run.notes))
    recalled = load_exchanges(run.recalled)
    return Texts(run.message, notes, recalled, run.response, run.detail, found)


def _rows() -> Select[Any]:
    return select(
        runs.c.run_id,
        runs.c.agent,
        runs.c.task_id,
        runs.c.kind,
        _status.label("status"),
        runs.c.root_id,
        runs.c.parent_id,
        runs.c.attempts,
        runs.c.claimed_at,
        runs.c.ended_at,
    )


def _read(connection: Connection, query: Select[Any]) -> Sequence[Row]:
    return [_row(row) for row in connection.execute(query).mappings()]


def _row(row: RowMapping) -> Row:
    ended_at = row["ended_at"]
    times = {"claimed_at": _time(row["claimed_at"]), "ended_at": ended_at and _time(ended_at)}
    return Row(**{**row, **times})


def _step(row: RowMapping) -> DoneStep:
    fields = {key: row[key] for key in ("epoch", "turn", "position", "kind", "name", "output")}
    return DoneStep(**fields, finished_at=_time(row["finished_at"]))


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
