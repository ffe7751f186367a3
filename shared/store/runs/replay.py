"""Replay: an operator makes a failed run continue, in its next epoch.

Finished steps are kept; the step that failed is computed again. The new response goes to the same
requesters as the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic_core import to_json
from sqlalchemy import Float, bindparam, case, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import Status
from shared.errors import HutchError
from shared.store.database.dialect import insert_new
from shared.store.runs import cancels
from shared.store.runs.marks import Mark, MarkKind, record
from shared.store.runs.run import NEXT_FENCE
from shared.store.runs.tool_starts import Start, delete_start, doubtful
from shared.store.schema import RunState, definitions, now_s, runs, steps


class Replayed(StrEnum):
    """The result of a request to replay a run."""

    AGAIN = "again"
    EARLIER = "earlier"
    """The run is in a later epoch: it was replayed before."""
    FORGOTTEN = "forgotten"
    """The store has no such run, or has deleted it."""


@dataclass(frozen=True)
class InDoubtDecision:
    """The operator's decision on a tool call in doubt: its result, or None to call it again."""

    result: str | None


def definition_of(connection: Connection, run_id: str) -> str | None:
    """The agent's definition, as JSON, that the run's claim has frozen; None: no such run."""
    query = select(definitions.c.body).join(runs, runs.c.definition == definitions.c.hash)
    return connection.execute(query.where(runs.c.run_id == run_id)).scalar()


def replay(
    connection: Connection,
    run_id: str,
    epoch: int,
    timeout_s: float,
    decision: InDoubtDecision | None,
) -> Replayed:
    """Make a run that failed in this epoch due again, with at least `timeout_s` until its deadline.

    Of several calls in doubt, the decision applies to the first, which the run's dead letter names;
    the others stay in doubt. Raises `HutchError`, and writes nothing, when the run has not failed,
    when a decision is missing, or when a result is given and no call is in doubt.
    """
    query = select(runs.c.epoch, runs.c.state, runs.c.status).where(runs.c.run_id == run_id)
    run = connection.execute(query.with_for_update()).first()
    if run is None:
        return Replayed.FORGOTTEN
    if run.epoch != epoch:
        return Replayed.EARLIER
    if run.state != RunState.ENDED:
        raise HutchError(f"run {run_id} hasn't ended yet: try again in a moment")
    if run.status != Status.FAILED:
        raise HutchError(f"run {run_id} has ended {run.status}: there is nothing to replay")
    _decide(connection, run_id, epoch, doubtful(connection, run_id), decision)
    cancels.remove(connection, run_id)
    fence = connection.execute(_DUE_AGAIN, {"again": run_id, "timeout_s": timeout_s}).scalar_one()
    record(connection, Mark(run_id, MarkKind.REPLAYED, ""), fence)
    return Replayed.AGAIN


_ENDS_AT = now_s() + bindparam("timeout_s", type_=Float(53))
_DUE_AGAIN = (
    update(runs)
    .where(runs.c.run_id == bindparam("again"))
    .values(
        state=RunState.DUE,
        due_at=now_s(),
        deadline_at=case((runs.c.deadline_at < _ENDS_AT, _ENDS_AT), else_=runs.c.deadline_at),
        fence=NEXT_FENCE,
        epoch=runs.c.epoch + 1,
        attempts=0,
        failures=0,
        ended_at=None,
        status=None,
        response=None,
        detail=None,
    )
    .returning(runs.c.fence)
)


def _decide(
    connection: Connection,
    run_id: str,
    epoch: int,
    doubts: list[Start],
    decision: InDoubtDecision | None,
) -> None:
    if not doubts:
        if decision is not None and decision.result is not None:
            raise HutchError(f"run {run_id} is in no doubt of a tool: replay it without a result")
        return
    first = doubts[0]
    if decision is None:
        raise HutchError(
            f"run {run_id} called {first.name}, and whether it has acted is unknown: add "
            "--tool-done RESULT if it has, or --tool-again to call it once more"
        )
    if decision.result is None:
        delete_start(connection, run_id, first)
        return
    output = to_json({"content": decision.result}).decode()
    at = {"turn": first.turn, "position": first.position}
    step = {"run_id": run_id, "epoch": epoch, "kind": "tool", "name": first.name, "output": output}
    insert_new(connection, steps, step | at, stamp="finished_at")
