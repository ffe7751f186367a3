"""Sessions: the runs of one conversation, one at a time in claim order, on any replica.

A run has a place in its session, and its turn comes when no run before it is open. So no process
has to be notified: the commit that ends one run makes the next one due. Runs that an
agent's run causes at its workers belong to the session too, but have no place in it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from sqlalchemy import ColumnElement, Integer, exists, func, literal, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import ANSWERED
from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.store.database.dialect import lock_name
from shared.store.runs.run import Exchanges, dump_exchanges
from shared.store.runs.steps import changed_tasks
from shared.store.schema import INTEGER_MAX, RunState, runs

RECALLED_RUNS = 20
"""The most earlier runs that a run is shown, the newest: their tokens are paid for at each call.

Above it, the oldest half is left out at once: so the first run that is shown stays the same for
many runs, and endpoints can cache what follows it.
"""

RECALLED_CHARS = 40_000
"""The limit of all texts that are shown, about 10,000 tokens; the oldest are left out."""

TEXT_CHARS = 10_000
"""The limit of each text, so that the newest run always fits."""

log = structlog.get_logger()


@dataclass(frozen=True)
class SessionEntry:
    """A new run's place in its session; `recalled` is None while an earlier run is open."""

    place: int
    recalled: Exchanges | None


def _lock(connection: Connection, agent: str, session: str) -> None:
    lock_name(connection, f"{agent} {session}")


def lock_session(connection: Connection, session: str) -> None:
    """Lock a session for all agents with runs in it: no run is added to it before this commit."""
    agents = select(runs.c.agent).where(runs.c.session == session).distinct()
    for agent in sorted(connection.execute(agents).scalars()):
        _lock(connection, agent, session)


def enter(connection: Connection, agent: str, session: str) -> SessionEntry:
    """The next place in a session; the session is locked until the commit."""
    _lock(connection, agent, session)
    of_session = (runs.c.session == session, runs.c.agent == agent)
    last = select(func.max(runs.c.session_place)).where(
        *of_session, runs.c.session_place < INTEGER_MAX
    )
    place = (connection.execute(last).scalar() or 0) + 1
    opened = select(runs.c.run_id).where(
        *of_session, runs.c.session_place.is_not(None), runs.c.ended_at.is_(None)
    )
    if connection.execute(opened.limit(1)).first() is not None:
        return SessionEntry(place, None)
    return SessionEntry(place, recall(connection, agent, session, place))


def session_of(connection: Connection, run_id: str) -> str | None:
    """The session of a run; None if it has none, or if there is no such run."""
    session: str | None = connection.execute(
        select(runs.c.session).where(runs.c.run_id == run_id)
    ).scalar()
    return session


def has_its_turn() -> ColumnElement[bool]:
    """The condition that a due run may start: no earlier run of its session is open.

    Nor may a later run be running or waiting: a replayed run can become due while a later one runs.
    """
    other = runs.alias("other")
    waits = exists().where(
        other.c.session == runs.c.session,
        other.c.agent == runs.c.agent,
        other.c.run_id != runs.c.run_id,
        other.c.ended_at.is_(None),
        or_(other.c.session_place < runs.c.session_place, other.c.state != RunState.DUE),
    )
    return or_(runs.c.session_place.is_(None), ~waits)


def recall(
    connection: Connection,
    agent: str,
    session: str,
    place: int,
    *,
    most_runs: int = RECALLED_RUNS,
    most_chars: int = RECALLED_CHARS,
    text_chars: int = TEXT_CHARS,
) -> Exchanges:
    """The exchanges of a session before a place, oldest first, within the limits.

    A task that its checks have changed is recalled as they left it. An exchange that can't be read
    is logged and left out.
    """
    half = max(1, most_runs // 2)
    surplus = literal(place, Integer) - 1 - most_runs  # computed there: the place can be damaged
    left_out = (surplus + half - 1) // half * half
    newest = (
        select(runs.c.run_id, runs.c.message, runs.c.response)
        .where(
            runs.c.session == session,
            runs.c.agent == agent,
            runs.c.session_place > left_out,
            runs.c.session_place < place,
            runs.c.status.in_(ANSWERED),
        )
        .order_by(runs.c.session_place.desc())
        .limit(most_runs)
    )
    rows = connection.execute(newest).all()
    changed = changed_tasks(connection, [row.run_id for row in rows])
    found: list[tuple[str, str]] = []
    left = most_chars
    for row in rows:
        try:
            asked = (changed.get(row.run_id) or message_of(row.message).prompt)[:text_chars]
            answered = response_of(row.response).content[:text_chars]
        except DamagedRow as error:
            log.warning("damaged run not recalled", run=row.run_id, reason=str(error))
            continue
        left -= len(asked) + len(answered)
        if left < 0:
            break
        found.append((asked, answered))
    return tuple(reversed(found))


def freeze_recalled(connection: Connection, run_ids: Collection[str]) -> None:
    """Store the part of the session's history that each of these runs is shown, unless it is
    stored already."""
    unfrozen = select(runs.c.run_id, runs.c.agent, runs.c.session, runs.c.session_place).where(
        runs.c.run_id.in_(run_ids), runs.c.recalled.is_(None)
    )
    for run_id, *where in connection.execute(unfrozen).all():
        recalled = dump_exchanges(recall(connection, *where))
        connection.execute(update(runs).where(runs.c.run_id == run_id).values(recalled=recalled))
