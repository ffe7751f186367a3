"""What was done in each minute, for the operator's charts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Integer,
    String,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.engine import Connection

from shared.contract.messages import Status
from shared.store.schema import definitions, now_s, runs, steps

MINUTE_S = 60
FAILED = (Status.FAILED, Status.TIMEOUT)


@dataclass(frozen=True)
class EndedRuns:
    """How many runs of an agent ended in a minute, counted from the epoch."""

    minute: int
    agent: str
    ended: int
    failed: int


@dataclass(frozen=True)
class MadeCalls:
    """The model calls of an agent in a minute, of one model under one definition.

    `definition` is the JSON of the definition, `costed` are the calls with a recorded cost, and
    `cost` is their sum.
    """

    minute: int
    agent: str
    definition: str
    model: str
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    costed: int
    cost: float


@dataclass(frozen=True)
class Minutes:
    now: float
    """The store's time, in seconds since the epoch."""
    runs: Sequence[EndedRuns]
    calls: Sequence[MadeCalls]


def current_minute(connection: Connection) -> int:
    return int(connection.execute(select(now_s())).scalar_one() // MINUTE_S)


def minutes(connection: Connection, agents: Collection[str], first: int) -> Minutes:
    """All that these agents have finished since the beginning of the minute `first`."""
    since = float(first * MINUTE_S)
    now = float(connection.execute(select(now_s())).scalar_one())
    ended = _ended(connection, agents, since)
    return Minutes(now, ended, _calls(connection, agents, since))


def _minute(time: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.floor(time / MINUTE_S), Integer)


def _ended(connection: Connection, agents: Collection[str], since: float) -> list[EndedRuns]:
    minute = _minute(runs.c.ended_at)
    query = (
        select(minute, runs.c.agent, func.count(), func.count().filter(runs.c.status.in_(FAILED)))
        .where(runs.c.agent.in_(agents), runs.c.ended_at >= since)
        .group_by(minute, runs.c.agent)
    )
    return [EndedRuns(*row) for row in connection.execute(query)]


def _calls(connection: Connection, agents: Collection[str], since: float) -> list[MadeCalls]:
    """A step that finished since then belongs to a run that has ended since then, or is open."""
    of_runs = or_(runs.c.ended_at >= since, runs.c.ended_at.is_(None))
    minute, json = _minute(steps.c.finished_at), _JSON[connection.dialect.name]
    model = func.coalesce(json("model", String), "")
    cost = json("usage.cost", Float)
    sums = (
        func.coalesce(func.sum(json(f"usage.{name}", BigInteger)), 0).label(name)
        for name in ("model_calls", "input_tokens", "cached_tokens", "output_tokens")
    )
    query = (
        select(
            minute.label("minute"),
            runs.c.agent,
            runs.c.definition,
            model.label("model"),
            *sums,
            func.count(cost).label("costed"),
            func.coalesce(func.sum(cost), 0.0).label("cost"),
        )
        .join_from(runs, steps, steps.c.run_id == runs.c.run_id)
        .where(
            runs.c.agent.in_(agents), of_runs, steps.c.kind == "model", steps.c.finished_at >= since
        )
        .group_by(minute, runs.c.agent, runs.c.definition, model)
    )
    rows = connection.execute(query).all()
    used = {row.definition for row in rows}
    frozen = select(definitions.c.hash, definitions.c.body).where(definitions.c.hash.in_(used))
    bodies = {row.hash: row.body for row in connection.execute(frozen)} if used else {}
    return [
        MadeCalls(
            row.minute,
            row.agent,
            bodies.get(row.definition, ""),
            row.model,
            int(row.model_calls),
            int(row.input_tokens),
            int(row.cached_tokens),
            int(row.output_tokens),
            row.costed,
            float(row.cost),
        )
        for row in rows
    ]


def _sqlite(path: str, kind: type[Any]) -> ColumnElement[Any]:
    found = case((func.json_valid(steps.c.output), func.json_extract(steps.c.output, f"$.{path}")))
    return cast(found, kind)


def _postgresql(path: str, kind: type[Any]) -> ColumnElement[Any]:
    """Without a value where the text is no JSON, or the value no number."""
    place = ",".join(path.split("."))
    text: ColumnElement[str] = literal_column(
        f"CASE WHEN steps.output IS JSON THEN steps.output::json #>> '{{{place}}}' END", String()
    )
    if kind is String:
        return text
    return cast(func.substring(text, r"^[0-9.eE+-]{1,25}$"), kind)


_JSON = {"sqlite": _sqlite, "postgresql": _postgresql}
