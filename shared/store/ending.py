"""The end of a run: its one response and all that goes out with it, in one commit."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import and_, select
from sqlalchemy.engine import Connection

from shared.errors import RunLost
from shared.store import outbox
from shared.store.outbox import Outbound
from shared.store.requesters import answer, waiting
from shared.store.runs import CHANGE, Run, change
from shared.store.schema import RunState, now_s, runs

_END = CHANGE.values(ended_at=now_s())


@dataclass(frozen=True)
class End:
    """How a run ends. `response` is the body; `detail` is for the operator, never sent."""

    status: str
    message_id: str
    response: str
    detail: str | None = None
    broadcast_to: str | None = None


def end(connection: Connection, run: Run, ending: End, instance: str) -> tuple[Outbound, ...]:
    """Commit the response and its outgoing messages together; raises `RunLost`.

    Asked again by the same owner, as after an unknown commit, it returns what is still unsent.
    """
    fields = {
        "state": RunState.ENDED,
        "owner": None,
        "status": ending.status,
        "response": ending.response,
        "detail": ending.detail,
    }
    try:
        change(connection, run, fields, _END)
    except RunLost:
        if _ended_by(connection, run):
            return outbox.unsent_of(connection, run.run_id, instance)
        raise
    sent = tuple(
        answer(connection, run.run_id, run.agent, instance, ending.response, to)
        for to in waiting(connection, run.run_id)
    )
    if ending.broadcast_to:
        message = Outbound.broadcast(
            run.run_id, ending.broadcast_to, ending.message_id, ending.response
        )
        sent += (outbox.add(connection, message, run.agent, instance),)
    return sent


def _ended_by(connection: Connection, run: Run) -> bool:
    ended = and_(runs.c.fence == run.fence, runs.c.state == RunState.ENDED)
    query = select(runs.c.run_id).where(runs.c.run_id == run.run_id, ended)
    return connection.execute(query).first() is not None
