"""The poll: one statement that reads all that concerns an agent's process, and locks nothing.

An idle process does little else, and a thousand processes poll two thousand times a second.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

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
from sqlalchemy.engine import Connection, Dialect, RowMapping
from sqlalchemy.sql.compiler import ExpandedState

from shared.contract.messages import ShutdownMode
from shared.contract.topology import ALL
from shared.store.messages.dead_letters import KEPT
from shared.store.messages.outbox import ORPHANED, UNSENT
from shared.store.processes import heartbeats
from shared.store.runs.approvals import PENDING
from shared.store.runs.cancels import CANCELLED, ENDABLE
from shared.store.runs.takeover import BEFORE_DELIVERIES, DELAYED, SUSPECT, TAKEABLE
from shared.store.schema import (
    ACTIVE,
    INTEGER_MAX,
    RunState,
    approvals,
    instances,
    now_s,
    outbox,
    pauses,
    runs,
    shutdowns,
)


@dataclass(frozen=True)
class Counts:
    """The work of one agent that its replicas can take; `due` includes postponed runs.

    `before_deliveries` are those of `takeable` that go before new deliveries.
    """

    takeable: int = 0
    before_deliveries: int = 0
    suspects: int = 0
    oldest_due_s: float = 0.0
    due: int = 0
    delayed: int = 0
    most_deaths: int = 0
    """The most processes that have died on one open run."""
    abandoned_messages: int = 0
    oldest_unsent_s: float = 0.0
    dead_letters_kept: int = 0
    """The number for all agents."""
    approvals_pending: int = 0


@dataclass(frozen=True)
class Commands:
    """The commands for one process.

    `cancelled` are the ids of the agent's cancelled open runs. `endable`: some runs may be ended by
    any replica. `expired`: some requests for approval wait no longer. `paused`: the agent is
    paused. `shutdown` is how this process is to end.
    """

    cancelled: tuple[str, ...] = ()
    endable: bool = False
    expired: bool = False
    paused: bool = False
    shutdown: ShutdownMode | None = None


@dataclass(frozen=True)
class Poll:
    heartbeats: dict[str, int]
    """The heartbeat count of each instance of the agent."""
    counts: Counts
    commands: Commands


def _age_s(oldest: ColumnElement[float]) -> ColumnElement[float]:
    return func.coalesce(now_s() - oldest, 0.0)


_AGENT = bindparam("agent", type_=String())
_INSTANCE = bindparam("instance", type_=String())
_active = and_(runs.c.agent == _AGENT, ACTIVE)
_number = func.count()
_runs = (
    select(
        _number.filter(and_(TAKEABLE, not_(SUSPECT))).label("takeable"),
        _number.filter(and_(BEFORE_DELIVERIES, not_(SUSPECT))).label("before_deliveries"),
        _number.filter(and_(TAKEABLE, SUSPECT)).label("suspects"),
        _age_s(func.min(runs.c.due_at).filter(TAKEABLE)).label("oldest_due_s"),
        _number.filter(and_(runs.c.state == RunState.DUE, not_(DELAYED))).label("due"),
        _number.filter(DELAYED).label("delayed"),
        func.coalesce(func.max(runs.c.attempts).filter(runs.c.attempts <= INTEGER_MAX), 0).label(
            "most_deaths"
        ),
        _number.filter(CANCELLED).label("cancelled"),
        _number.filter(ENDABLE).label("endable"),
    )
    .where(_active)
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
_asked = (
    select(
        _number.label("approvals_pending"),
        _number.filter(approvals.c.expires_at <= now_s()).label("expired"),
    )
    .where(approvals.c.agent == _AGENT, PENDING)
    .subquery("asked")
)
_POLL = select(
    instances.c.instance,
    instances.c.beat,
    _runs,
    _unsent,
    _asked,
    KEPT.label("dead_letters_kept"),
    exists().where(pauses.c.agent.in_([_AGENT, ALL])).label("paused"),
    select(shutdowns.c.mode)
    .where(shutdowns.c.instance == _INSTANCE)
    .scalar_subquery()
    .label("shutdown"),
).select_from(
    _runs.join(_unsent, true())
    .join(_asked, true())
    .outerjoin(instances, instances.c.agent == _AGENT)
)
"""One row for each instance, or a single one without; all other columns are the same in each."""
_CANCELLED_RUNS = select(runs.c.run_id).where(_active, CANCELLED)


def poll(connection: Connection, agent: str, instance: str, dead: Collection[str] = ()) -> Poll:
    """Poll for `instance`; runs and messages of the instances `dead` count as not owned."""
    parameters = {"agent": agent, "instance": instance, "dead": list(dead)}
    rows = _rows(connection, parameters)
    found = rows[0]
    names = connection.execute(_CANCELLED_RUNS, parameters).scalars() if found["cancelled"] else ()
    return Poll(
        heartbeats={row["instance"]: row["beat"] for row in rows if row["instance"]},
        counts=Counts(**{field.name: found[field.name] for field in fields(Counts)}),
        commands=Commands(
            tuple(names),
            found["endable"] > 0,
            found["expired"] > 0,
            bool(found["paused"]),
            found["shutdown"],
        ),
    )


def _rows(connection: Connection, parameters: Mapping[str, object]) -> Sequence[RowMapping]:
    if parameters["dead"]:
        return connection.execute(_POLL, parameters).mappings().all()
    compiled = _without_dead(connection.dialect)
    values = {**compiled.parameters, **parameters}
    given = tuple(values[name] for name in compiled.positiontup or ())
    return connection.exec_driver_sql(compiled.statement, given).mappings().all()


@cache  # SQLAlchemy renders a list of parameters anew for each execution, which takes longer
def _without_dead(dialect: Dialect) -> ExpandedState:
    compiled = _POLL.compile(dialect=dialect)
    return compiled.construct_expanded_state({"agent": "", "instance": "", "dead": []})


def record_and_poll(connection: Connection, agent: str, instance: str) -> Poll:
    """Record the heartbeat of `instance`, and poll for it: one commit costs less than two."""
    heartbeats.record(connection, instance, agent)
    return poll(connection, agent, instance)
