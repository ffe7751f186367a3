"""Reports for the operator. They only read, lock nothing and delay no other process."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter
from pydantic_core import from_json
from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.engine import Connection

from shared.contract.priority import Priority
from shared.contract.rows import mended
from shared.store.messages.tables import sent_messages
from shared.store.queries.approvals import pending_counts
from shared.store.runs.takeover import DELAYED
from shared.store.schema import ACTIVE, PARKED, RunState, instances, now_s, outbox, runs, ticks

SHORTEST_TO_CANCEL = 8
"""Characters of a run's id: a shorter text could be the id of a task that has not arrived yet."""
MOST_MATCHES = 20
"""The most runs that a search by a short prefix returns."""
DELAYED_RUNS = "delayed"
TEXT_CHARS = 200
"""The characters of its message's text that a list shows of a run."""
_MESSAGE_CHARS = 6000
"""The part of a stored message that is read for that: what precedes the text is shorter."""


def _time(seconds: object) -> object:
    """The time in UTC; raises `ValueError` if Python can't represent it."""
    if not isinstance(seconds, float | int):
        return seconds
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{seconds:g} is no time: {error}") from error


def _beginning(message: object) -> object:
    """The beginning of a message's text, from the first part of its JSON; empty if unreadable."""
    try:
        read = from_json(str(message), allow_partial="trailing-strings")
    except ValueError:
        return ""
    text = str(read.get("content") or "") if isinstance(read, dict) else ""
    return text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + "…"


Instant = Annotated[datetime, BeforeValidator(_time)]


@dataclass(frozen=True)
class Load:
    """The work of one agent: its open runs by state, and its unsent messages.

    `delayed` are the due runs that may not start yet, `due` all others; `postponed` are those of
    the due ones that wait after a failure, such as their model's. `approvals` are its calls that
    wait for approval.
    """

    delayed: int = 0
    due: int = 0
    postponed: int = 0
    running: int = 0
    waiting: int = 0
    parked: int = 0
    unsent: int = 0
    approvals: int = 0


@dataclass(frozen=True)
class Heartbeat:
    instance: str
    agent: str
    count: int


@dataclass(frozen=True)
class Row:
    """A run in a list. `status` is its state while it is open, then how it ended.

    `due_at` is set while it is due. `text` is the beginning of its message's text. `damage` names
    the columns that could not be read; their fields are blank.
    """

    run_id: str
    agent: str
    task_id: str
    kind: str
    status: str
    root_id: str
    parent_id: str | None
    attempts: int
    claimed_at: Instant
    ended_at: Instant | None
    session: str | None
    text: Annotated[str, BeforeValidator(_beginning)]
    due_at: Instant | None = None
    priority: str = Priority.INTERACTIVE
    owner: str | None = None
    """The process that computes it while it is open."""
    damage: str = ""


@dataclass(frozen=True)
class RunFilter:
    """Selects runs for a list; an empty field selects all.

    `since` and `until` limit the time of the claim. `before` is a run's id: only runs that come
    after it in the list, which begins with the newest; if it has been deleted, its claim was at
    `before_at`, in seconds. The status `DELAYED_RUNS` selects delayed runs, whose own status is
    `due`. `agents` are the only agents that are listed; None: all.
    """

    agent: str | None = None
    agents: Collection[str] | None = None
    session: str | None = None
    kinds: Collection[str] = ()
    statuses: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    before: str | None = None
    before_at: float | None = None


_ROW = TypeAdapter(Row)
BEGINNING = datetime.fromtimestamp(0, UTC)
_BLANK: dict[str, object] = {
    "task_id": "",
    "kind": "",
    "status": "",
    "root_id": "",
    "parent_id": None,
    "attempts": 0,
    "claimed_at": BEGINNING,
    "ended_at": None,
    "due_at": None,
    "session": None,
    "priority": Priority.INTERACTIVE,
    "owner": None,
    "text": "",
}


def loads(connection: Connection) -> dict[str, Load]:
    """The load of each agent; agents without work are left out."""
    counts: dict[str, dict[str, int]] = {}
    delayed = func.count().filter(DELAYED).label("delayed")
    postponed = and_(runs.c.state == RunState.DUE, runs.c.failures > 0, runs.c.due_at > now_s())
    opened = (
        select(
            runs.c.agent,
            runs.c.state,
            func.count().label("number"),
            delayed,
            func.count().filter(postponed).label("postponed"),
        )
        .where(ACTIVE)
        .group_by(runs.c.agent, runs.c.state)
    )
    for row in connection.execute(opened):
        if row.state in OPEN_STATES:
            of_agent = counts.setdefault(row.agent, {"delayed": 0, "postponed": 0})
            of_agent[row.state] = row.number - row.delayed
            of_agent["delayed"] += row.delayed
            of_agent["postponed"] += row.postponed
    parked = select(runs.c.agent, func.count().label("number")).where(PARKED)
    for row in connection.execute(parked.group_by(runs.c.agent)):
        counts.setdefault(row.agent, {})["parked"] = row.number
    unsent = (
        select(outbox.c.agent, func.count().label("number"))
        .where(outbox.c.undeliverable_at.is_(None))
        .group_by(outbox.c.agent)
    )
    for row in connection.execute(unsent):
        counts.setdefault(row.agent, {})["unsent"] = row.number
    for agent, number in pending_counts(connection).items():
        counts.setdefault(agent, {})["approvals"] = number
    return {agent: Load(**numbers) for agent, numbers in counts.items()}


def heartbeats(connection: Connection) -> list[Heartbeat]:
    """The heartbeat counts of the instances that have not exited; one that stands still is dead."""
    query = select(instances.c.instance, instances.c.agent, instances.c.beat)
    return [Heartbeat(*row) for row in connection.execute(query)]


def owner_beat(connection: Connection, run_id: str) -> tuple[str, int | None] | None:
    """An open run's owner and its heartbeat count, None if it has exited; None without an owner."""
    query = select(runs.c.owner, instances.c.beat).outerjoin_from(
        runs, instances, runs.c.owner == instances.c.instance
    )
    row = connection.execute(
        query.where(runs.c.run_id == run_id, runs.c.owner.is_not(None), runs.c.ended_at.is_(None))
    ).first()
    return (row.owner, row.beat) if row else None


OPEN_STATES = frozenset(RunState) - {RunState.ENDED}
"""Any other state is damage, and such a run ends at its deadline."""
_status = func.coalesce(runs.c.status, runs.c.state)


def newest(connection: Connection, wanted: RunFilter, limit: int) -> Sequence[Row]:
    """The newest of the wanted runs, latest first."""
    query = select(runs.c.run_id).where(*conditions(wanted)).order_by(*LATEST_FIRST).limit(limit)
    # If the database must sort, it sorts ids and no texts.
    return rows_of(connection, connection.execute(query).scalars().all())


def rows_of(connection: Connection, run_ids: Sequence[str]) -> Sequence[Row]:
    """The runs with these ids, in the order of the ids."""
    found = {
        row.run_id: row for row in _read(connection, _rows().where(runs.c.run_id.in_(run_ids)))
    }
    return [found[run_id] for run_id in run_ids if run_id in found]


LATEST_FIRST = (runs.c.claimed_at.desc(), runs.c.run_id.desc())


def conditions(wanted: RunFilter) -> Iterator[ColumnElement[bool]]:
    """The conditions on a run that a filter means."""
    if wanted.agent is not None:
        yield runs.c.agent == wanted.agent
    if wanted.agents is not None:
        yield runs.c.agent.in_(wanted.agents)
    if wanted.session is not None:
        yield runs.c.session == wanted.session
    if wanted.kinds:
        yield runs.c.kind.in_(wanted.kinds)
    if wanted.statuses:
        delayed = DELAYED if DELAYED_RUNS in wanted.statuses else false()
        yield or_(_status.in_(wanted.statuses), delayed)
    if wanted.since is not None:
        yield runs.c.claimed_at >= wanted.since.timestamp()
    if wanted.until is not None:
        yield runs.c.claimed_at <= wanted.until.timestamp()
    if wanted.before is not None:
        claimed = select(runs.c.claimed_at).where(runs.c.run_id == wanted.before).scalar_subquery()
        at = func.coalesce(claimed, literal(wanted.before_at, Float(53)))
        yield tuple_(runs.c.claimed_at, runs.c.run_id) < tuple_(at, wanted.before)


def find(connection: Connection, key: str) -> Sequence[Row]:
    """The runs with this run id or task id, or else with this prefix of a run id; oldest first.

    The id of a schedule's tick means the run of its message. The id of a message that was sent is
    no prefix: its task has no run yet.
    """
    of_tick = select(ticks.c.message_id).where(ticks.c.tick_id == key)
    by_id = or_(runs.c.run_id == key, runs.c.task_id == key, runs.c.task_id.in_(of_tick))
    sent = exists().where(sent_messages.c.message_id == key)
    by_prefix = and_(runs.c.run_id.startswith(key, autoescape=True), not_(sent))
    found = (
        _read(connection, _rows().where(meant).order_by(runs.c.claimed_at).limit(MOST_MATCHES))
        for meant in (by_id, by_prefix)
    )
    return next(filter(None, found), [])


def ended(connection: Connection, run_id: str) -> Row | None:
    """The run, if it has ended."""
    found = _read(connection, _rows().where(runs.c.run_id == run_id, runs.c.ended_at.is_not(None)))
    return found[0] if found else None


def family(connection: Connection, root_id: str) -> Sequence[Row]:
    """All runs that the root message has caused, oldest first."""
    query = _rows().where(runs.c.root_id == root_id).order_by(runs.c.claimed_at, runs.c.run_id)
    return _read(connection, query)


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
        case((runs.c.state == RunState.DUE, runs.c.due_at)).label("due_at"),
        runs.c.session,
        runs.c.priority,
        runs.c.owner,
        func.substr(runs.c.message, 1, _MESSAGE_CHARS).label("text"),
    )


def _read(connection: Connection, query: Select[Any]) -> Sequence[Row]:
    return [mended(_ROW, {**row}, _BLANK) for row in connection.execute(query).mappings()]
