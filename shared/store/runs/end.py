"""The end of a run: its one response and its outgoing messages, in one commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import and_, select
from sqlalchemy.engine import Connection

from shared.contract.messages import Cancel, encode
from shared.contract.rows import storable
from shared.errors import RunLost
from shared.store.database.dialect import insert_new
from shared.store.messages import outbox
from shared.store.messages.outbox import Outbound
from shared.store.messages.requesters import answer, waiting
from shared.store.runs import cancels
from shared.store.runs.approvals import withdraw
from shared.store.runs.claim import Claim, Request, Verdict, claim
from shared.store.runs.parking import unpark_manager
from shared.store.runs.run import CHANGE, Run, change
from shared.store.runs.steps import Step
from shared.store.schema import RunState, now_s, runs, steps

_END = CHANGE.values(ended_at=now_s())


@dataclass(frozen=True)
class RunEnd:
    """How a run ends. `response` is the body; `detail` is for the operator and never sent.

    `steps` are the steps that are committed with the end: the last reply, or answers to the open
    calls of a cancelled run. `orphans` are the tasks of its workers, as (agent, task id), which
    are cancelled with it.
    """

    status: str
    message_id: str
    response: str
    detail: str | None = None
    broadcast_to: str | None = None
    cancelled: bool = False
    steps: tuple[Step, ...] = ()
    orphans: tuple[tuple[str, str], ...] = ()


def end(connection: Connection, run: Run, ending: RunEnd, instance: str) -> tuple[Outbound, ...]:
    """End a run: write its response and its outgoing messages together. Raises `RunLost`.

    Returns the messages. Repeated by the same owner after an unknown commit, it returns those that
    are still unsent.
    """
    fields = {
        "state": RunState.ENDED,
        "owner": None,
        "status": ending.status,
        "response": ending.response,
        "detail": storable(ending.detail) if ending.detail else None,
    }
    try:
        change(connection, run, fields, _END)
    except RunLost:
        if _ended_by(connection, run):
            return outbox.unsent_of(connection, run.run_id, instance)
        raise
    withdraw(connection, run)
    unpark_manager(connection, run)
    for step in ending.steps:
        row = {"run_id": run.run_id, "epoch": run.epoch, **vars(step)}
        insert_new(connection, steps, row, stamp="finished_at")
    sent = tuple(
        answer(connection, run.run_id, run.epoch, run.agent, instance, ending.response, to)
        for to in waiting(connection, run.run_id)
    )
    if ending.broadcast_to:
        message = Outbound.broadcast(
            run.run_id, ending.broadcast_to, ending.message_id, ending.response
        )
        sent += (outbox.add(connection, message, run.agent, instance),)
    return sent + _pass_cancel_on(connection, run, ending, instance) if ending.cancelled else sent


def refuse(
    connection: Connection, request: Request, instance: str, ending_of: Callable[[Run], RunEnd]
) -> Claim:
    """Claim a run that ends in the same commit, or find the run that the id already has.

    The new run takes no turn in its session, is not delayed and needs no slot. A repeated request
    with its id gets the same answer.
    """
    at_once = replace(request, takes_turns=False, not_before=0.0)
    found = claim(connection, at_once, instance, slot=True)
    if found.verdict is not Verdict.CLAIMED or found.run is None:
        return replace(found, run=None)
    answers = end(connection, found.run, ending_of(found.run), instance)
    return replace(found, run=None, outbound=answers)


def _pass_cancel_on(
    connection: Connection, run: Run, ending: RunEnd, instance: str
) -> tuple[Outbound, ...]:
    """Cancel the workers' tasks of a cancelled run: by rows, and by messages for other stores."""
    cancels.remove(connection, run.run_id)
    sent = []
    for agent, task_id in ending.orphans:
        cancels.record(connection, agent, task_id)
        body = encode(Cancel(task_id=task_id, root_id=run.root_id, sender=run.agent)).decode()
        message = Outbound.cancel(run.run_id, agent, f"{task_id}.cancel", body)
        sent.append(outbox.add(connection, message, run.agent, instance))
    return tuple(sent)


def _ended_by(connection: Connection, run: Run) -> bool:
    ended = and_(runs.c.fence == run.fence, runs.c.state == RunState.ENDED)
    query = select(runs.c.run_id).where(runs.c.run_id == run.run_id, ended)
    return connection.execute(query).first() is not None
