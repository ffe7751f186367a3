"""The work of each minute, for the operator's charts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import from_json
from sqlalchemy import Integer, cast, func, select, union_all
from sqlalchemy.engine import Connection

from shared.contract.messages import Status, Usage
from shared.store.schema import ACTIVE, PARKED, definitions, now_s, runs, steps

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

    `definition` is the JSON of the definition. `costed` are the calls with a recorded cost, which
    is in the `usage`. A damaged row is left out.
    """

    minute: int
    agent: str
    definition: str
    model: str
    usage: Usage
    costed: int


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


def _ended(connection: Connection, agents: Collection[str], since: float) -> list[EndedRuns]:
    minute = cast(func.floor(runs.c.ended_at / MINUTE_S), Integer)
    query = (
        select(minute, runs.c.agent, func.count(), func.count().filter(runs.c.status.in_(FAILED)))
        .where(runs.c.agent.in_(agents), runs.c.ended_at >= since)
        .group_by(minute, runs.c.agent)
    )
    return [EndedRuns(*row) for row in connection.execute(query)]


def _calls(connection: Connection, agents: Collection[str], since: float) -> list[MadeCalls]:
    """A step that finished since then belongs to a run that has ended since then, or is open."""
    of_agents = select(runs.c.run_id, runs.c.agent, runs.c.definition).where(
        runs.c.agent.in_(agents)
    )
    at_work = union_all(  # each part finds its runs in an index
        of_agents.where(runs.c.ended_at >= since),
        of_agents.where(ACTIVE),
        of_agents.where(PARKED, runs.c.parked_at >= since),
    ).subquery()
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    part = func.substr(steps.c.output, position(steps.c.output, _USAGE), _PART_CHARS)
    query = (
        select(steps.c.finished_at, at_work.c.agent, at_work.c.definition, part.label("part"))
        .join_from(at_work, steps, steps.c.run_id == at_work.c.run_id)
        .where(steps.c.kind == "model", steps.c.finished_at >= since)
    )
    sums: dict[tuple[int, str, str, str], _Sums] = defaultdict(_Sums)
    for finished_at, agent, definition, text in connection.execute(query):
        if (reply := _reply(text)) is not None:
            key = (int(finished_at // MINUTE_S), agent, definition, reply.model or "")
            sums[key].add(reply.usage)
    frozen = select(definitions.c.hash, definitions.c.body).where(
        definitions.c.hash.in_({definition for _, _, definition, _ in sums})
    )
    bodies = {row.hash: row.body for row in connection.execute(frozen)} if sums else {}
    return [
        MadeCalls(minute, agent, bodies.get(definition, ""), model, it.usage, it.costed)
        for (minute, agent, definition, model), it in sums.items()
    ]


_USAGE = '"usage":{'
"""No text of a model can look like this in JSON, since each quotation mark in it is escaped."""
_PART_CHARS = 600
"""The usage, and the model's name that follows it, are shorter."""


class _Reply(BaseModel):
    usage: Usage
    model: str | None = None


def _reply(part: str) -> _Reply | None:
    """The part of a reply that begins with its usage; None if it can't be read."""
    try:
        return _Reply.model_validate(from_json(f"{{{part}", allow_partial="trailing-strings"))
    except ValueError:
        return None


@dataclass
class _Sums:
    """Plain numbers: a `Usage` for each call would cost more than reading it."""

    calls: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cost: float = 0.0
    costed: int = 0

    def add(self, usage: Usage) -> None:
        self.calls += usage.model_calls
        self.input += usage.input_tokens
        self.output += usage.output_tokens
        self.cached += usage.cached_tokens
        self.cost += usage.cost or 0.0
        self.costed += usage.cost is not None

    @property
    def usage(self) -> Usage:
        return Usage(
            model_calls=self.calls,
            input_tokens=self.input,
            output_tokens=self.output,
            cached_tokens=self.cached,
            cost=self.cost if self.costed else None,
        )
