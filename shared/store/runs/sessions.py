"""Sessions: the runs of one conversation, one at a time in claim order, on any replica.

A run has a place in its session, and its turn when no run before it is open: nothing has to be
woken, and the end of one makes the next due in the same commit. What an agent's run caused at
its workers belongs to the session too, but has no place in it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.store.database.dialect import lock_name
from shared.store.runs.run import Exchanges, dump_exchanges
from shared.store.schema import WHOLE_MOST, RunState, runs

RECALLED_RUNS = 20
"""Newest earlier runs that a run is shown: a long talk, and few enough to pay for each time."""

RECALLED_CHARS = 40_000
"""Of all that is shown, some 10,000 tokens; what doesn't fit is left out, oldest first."""

TEXT_CHARS = 10_000
"""Of each text; so the newest run always fits."""

REMEMBERED = ("ok", "partial")
"""Runs that ended otherwise are left out: what a model refused once it would refuse for ever."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Seat:
    """A new run's place in its session; `recalled` is what it is shown, None: not its turn yet."""

    place: int
    recalled: Exchanges | None


def _hold(connection: Connection, agent: str, session: str) -> None:
    lock_name(connection, f"{agent} {session}")


def close(connection: Connection, session: str) -> None:
    """Nobody begins a run in this session, at any agent that has one there, before this commit."""
    agents = select(runs.c.agent).where(runs.c.session == session).distinct()
    for agent in sorted(connection.execute(agents).scalars()):
        _hold(connection, agent, session)


def enter(connection: Connection, agent: str, session: str) -> Seat:
    """The next place in a session, which nobody else can take before this commit."""
    _hold(connection, agent, session)
    of_session = (runs.c.session == session, runs.c.agent == agent)
    last = select(func.max(runs.c.session_place)).where(
        *of_session, runs.c.session_place < WHOLE_MOST
    )
    place = (connection.execute(last).scalar() or 0) + 1
    opened = select(runs.c.run_id).where(
        *of_session, runs.c.session_place.is_not(None), runs.c.ended_at.is_(None)
    )
    if connection.execute(opened.limit(1)).first() is not None:
        return Seat(place, None)
    return Seat(place, recall(connection, agent, session, place))


def has_its_turn() -> ColumnElement[bool]:
    """Whether a due run may be taken to be run: in a session, only when none before it is open.

    Nor one after it that is at work: a run that was replayed comes due again beside later ones.
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
    """What was asked and answered in a session before a place, oldest first, within limits.

    An exchange that can't be read is left out, and logged.
    """
    newest = (
        select(runs.c.run_id, runs.c.message, runs.c.response)
        .where(
            runs.c.session == session,
            runs.c.agent == agent,
            runs.c.session_place < place,
            runs.c.status.in_(REMEMBERED),
        )
        .order_by(runs.c.session_place.desc())
        .limit(most_runs)
    )
    found: list[tuple[str, str]] = []
    left = most_chars
    for row in connection.execute(newest):
        try:
            asked = message_of(row.message).said[:text_chars]
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
    """Fix what these runs are shown of their sessions, where it isn't fixed yet."""
    unfrozen = select(runs.c.run_id, runs.c.agent, runs.c.session, runs.c.session_place).where(
        runs.c.run_id.in_(run_ids), runs.c.recalled.is_(None)
    )
    for run_id, *where in connection.execute(unfrozen).all():
        recalled = dump_exchanges(recall(connection, *where))
        connection.execute(update(runs).where(runs.c.run_id == run_id).values(recalled=recalled))
