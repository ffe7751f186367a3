"""An agent's finished runs, for its own summary."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import exists, not_, select
from sqlalchemy.engine import Connection

from shared.contract.messages import ANSWERED
from shared.store.runs.takeover import DELAYED
from shared.store.schema import ACTIVE, RunState, runs

SUMMARISED_RUNS = 10
"""The number of newest runs that one summary covers."""


@dataclass(frozen=True)
class FinishedRun:
    run_id: str
    kind: str
    message: str
    response: str


def finished_work(connection: Connection, agent: str) -> list[FinishedRun]:
    """The newest finished runs of an agent, oldest first; none while it has an open run that is
    neither delayed nor parked.

    The last one's id identifies the version of the history. Ticks are left out because they are not
    work, and runs in sessions because they are private.
    """
    of_agent = runs.c.agent == agent
    at_work = select(runs.c.run_id).where(of_agent, ACTIVE, not_(DELAYED))
    if connection.execute(at_work.limit(1)).first() is not None:
        return []
    newest = (
        select(runs.c.run_id, runs.c.kind, runs.c.message, runs.c.response)
        .where(
            of_agent,
            runs.c.state == RunState.ENDED,
            runs.c.ended_at.is_not(None),
            runs.c.kind != "tick",
            runs.c.session.is_(None),
            runs.c.status.in_(ANSWERED),
        )
        .order_by(runs.c.ended_at.desc(), runs.c.run_id)
        .limit(SUMMARISED_RUNS)
    )
    return [FinishedRun(*row) for row in connection.execute(newest)][::-1]


def has_tick(connection: Connection, run_ids: Collection[str]) -> bool:
    """Whether one of these runs exists and is a tick; a task with the same id doesn't count."""
    tick = exists().where(runs.c.run_id.in_(run_ids), runs.c.kind == "tick")
    return bool(connection.execute(select(tick)).scalar())
