"""What a process of an agent asks the store again and again: one statement that locks nothing.

An idle process does hardly anything else, and a thousand of them do it two thousand times a second.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields

from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    bindparam,
    exists,
    func,
    not_,
    select,
    true,
)
from sqlalchemy.engine import Connection

from shared.contract.messages import ShutdownMode
from shared.contract.topology import ALL
from shared.store.messages.dead_letters import KEPT
from shared.store.messages.outbox import ORPHANED, UNSENT
from shared.store.runs.cancels import ASKED, DOOMED
from shared.store.runs.takeover import SUSPECT, TAKEABLE
from shared.store.schema import (
    WHOLE_MOST,
    RunState,
    instances,
    now_s,
    outbox,
    pauses,
    runs,
    shutdowns,
)


@dataclass(frozen=True)
class Counts:
    """What waits for somebody to take it, of one agent; `due` counts what is put off too."""

    takeable: int = 0
    suspects: int = 0
    oldest_due_s: float = 0.0
    due: int = 0
    most_deaths: int = 0
    """Processes that have died on one open run, of all such runs the most."""
    abandoned_messages: int = 0
    oldest_unsent_s: float = 0.0
    dead_letters_kept: int = 0
    """Of all agents."""


@dataclass(frozen=True)
class Commands:
    """What people have ordered: runs cancelled by name, whether others wait for a hand to end
    them, whether the agent is paused, and how this process shall end."""

    cancelled: tuple[str, ...] = ()
    doomed: bool = False
    paused: bool = False
    shutdown: ShutdownMode | None = None


@dataclass(frozen=True)
class Poll:
    heartbeats: dict[str, int]
    """Every instance of the agent with its count."""
    counts: Counts
    commands: Commands


def _age_s(oldest: ColumnElement[float]) -> ColumnElement[float]:
    return func.coalesce(now_s() - oldest, 0.0)


_AGENT = bindparam("agent", type_=String())
_INSTANCE = bindparam("instance", type_=String())
_open = and_(runs.c.agent == _AGENT, runs.c.ended_at.is_(None))
_number = func.count()
_runs = (
    select(
        _number.filter(and_(TAKEABLE, not_(SUSPECT))).label("takeable"),
        _number.filter(and_(TAKEABLE, SUSPECT)).label("suspects"),
        _age_s(func.min(runs.c.due_at).filter(TAKEABLE)).label("oldest_due_s"),
        _number.filter(runs.c.state == RunState.DUE).label("due"),
        func.coalesce(func.max(runs.c.attempts).filter(runs.c.attempts <= WHOLE_MOST), 0).label(
            "most_deaths"
        ),
        _number.filter(ASKED).label("cancelled"),
        _number.filter(DOOMED).label("doomed"),
    )
    .where(_open)
    .subquery("of_runs")
)
_unsent = (
    select(
        _number.filter(ORPHANED).label("abandoned_messages"),
        _age_s(func.min(outbox.c.created_at)).label("oldest_unsent_s"),
    )
    .where(UNSENT)
    .subquery("unsent")
)
_POLL = select(
    instances.c.instance,
    instances.c.beat,
    _runs,
    _unsent,
    KEPT.label("dead_letters_kept"),
    exists().where(pauses.c.agent.in_([_AGENT, ALL])).label("paused"),
    select(shutdowns.c.mode)
    .where(shutdowns.c.instance == _INSTANCE)
    .scalar_subquery()
    .label("shutdown"),
).select_from(_runs.join(_unsent, true()).outerjoin(instances, instances.c.agent == _AGENT))
"""A row for each instance, at least one; all else is the same in each."""
_CANCELLED = select(runs.c.run_id).where(_open, ASKED)


def poll(connection: Connection, agent: str, instance: str, dead: Collection[str] = ()) -> Poll:
    """As `instance` sees it; `dead` ones still have their rows, but own nothing any more."""
    asked = {"agent": agent, "instance": instance, "dead": list(dead)}
    rows = connection.execute(_POLL, asked).mappings().all()
    found = rows[0]
    names = connection.execute(_CANCELLED, asked).scalars() if found["cancelled"] else ()
    return Poll(
        heartbeats={row["instance"]: row["beat"] for row in rows if row["instance"]},
        counts=Counts(**{field.name: found[field.name] for field in fields(Counts)}),
        commands=Commands(
            tuple(names), found["doomed"] > 0, bool(found["paused"]), found["shutdown"]
        ),
    )
