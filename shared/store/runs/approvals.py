"""Requests for the approval of calls, and the decisions on them.

A decision holds for one call: that of this run and epoch, at this place, with this name and these
arguments, under the definition that the asking process had. Whatever else is called is a new
request. Each function that writes is one commit and locks the run's row first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Annotated, Any

from pydantic import BeforeValidator, TypeAdapter
from sqlalchemy import and_, bindparam, func, literal_column, not_, select, update
from sqlalchemy.engine import Connection

from shared.contract.approvals import ApprovalRequest, ApprovalState
from shared.contract.rows import mended, storable
from shared.store.database.dialect import insert_new
from shared.store.database.prepared import Prepared
from shared.store.messages.webhooks import add_approvals
from shared.store.runs.marks import Mark, MarkKind, record
from shared.store.runs.parking import lock_parked, park, unpark
from shared.store.runs.run import Run
from shared.store.schema import approvals, cancels, now_s, runs

LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
"""The characters of an id: none looks like another one."""
ID_CHARS = 12
BY_CHARS = 80
NOTE_CHARS = 2000
"""The longest note: the model reads it."""
BATCH = 100
"""The most requests that one commit lets expire; the next poll takes more."""


@dataclass(frozen=True)
class Approval:
    """A request and its decision; times are in seconds. `damage` names the columns that could not
    be read; their fields are blank."""

    approval_id: str
    run_id: str
    agent: str
    root_id: str
    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    arguments: str
    hash: str
    definition: str
    asked_at: float
    expires_at: float
    state: Annotated[ApprovalState, BeforeValidator(lambda state: ApprovalState(state))]
    decided_at: float | None
    decided_by: str | None
    note: str | None
    damage: str = ""


class Effect(StrEnum):
    """The effect of a decision."""

    DECIDED = "decided"
    ALREADY = "already"
    """The same was decided before."""
    OTHERWISE = "otherwise"
    """Something else was decided before, or the request has expired."""
    ENDED = "ended"
    """The run has ended, or asks for another call by now."""


@dataclass(frozen=True)
class Decided:
    effect: Effect
    approval: Approval
    """The request after the decision."""


_APPROVAL = TypeAdapter(Approval)
_BLANK: dict[str, Any] = {
    "agent": "",
    "root_id": "",
    "epoch": 0,
    "turn": 0,
    "position": 0,
    "kind": "",
    "name": "",
    "arguments": "{}",
    "hash": "",
    "definition": "",
    "asked_at": 0.0,
    "expires_at": 0.0,
    "state": ApprovalState.WITHDRAWN,
    "decided_at": None,
    "decided_by": None,
    "note": None,
}
PENDING = approvals.c.state == literal_column("'pending'")
"""Written out, so that the indexes of pending requests are used."""


def approval_of(row: Any) -> Approval:
    return mended(_APPROVAL, {**row}, _BLANK)


def request_id(run: Run, request: ApprovalRequest, definition: str) -> str:
    """The id of a request: the same for the same call, and short enough to be typed."""
    bound = (run.run_id, run.epoch, request.turn, request.position, request.hash, definition)
    number = int.from_bytes(blake2b("\0".join(map(str, bound)).encode()).digest()[:8])
    return "".join(LETTERS[number >> 5 * place & 31] for place in range(ID_CHARS))


def ask(
    connection: Connection,
    run: Run,
    requests: Sequence[ApprovalRequest],
    definition: Callable[[str], str],
    workers: Collection[str] = (),
) -> Sequence[Approval]:
    """Write the requests of an owned run and park it; returns the new ones. Raises `RunLost`.

    `definition` returns a hash of what a decision on a call with a name is bound to.
    `workers` are the ids of parked runs that it waits for too. The run is due at once if one of the
    requests is decided already, if one of these runs goes on, or if it is cancelled. Pending
    requests for other calls are withdrawn.
    """
    now = connection.execute(select(now_s())).scalar_one()
    bound = [definition(it.name) for it in requests]
    parked = lock_parked(connection, workers) if workers else set()
    park(connection, run)
    ids = [request_id(run, it, of) for it, of in zip(requests, bound, strict=True)]
    new = {
        it
        for it, request, of in zip(ids, requests, bound, strict=True)
        if _add(connection, run, it, request, of, now)
    }
    mine = and_(approvals.c.run_id == run.run_id, PENDING)
    asked = approvals.c.approval_id.in_(ids)
    withdrawn = update(approvals).where(mine, not_(asked))
    connection.execute(withdrawn.values(state=ApprovalState.WITHDRAWN, decided_at=now))
    waits = connection.execute(select(func.count()).where(mine, asked)).scalar_one() == len(ids)
    reason = ", ".join(sorted({it.name for it in requests})) or "workers"
    record(connection, Mark(run.run_id, MarkKind.PARKED, run.owner or "", reason), run.fence)
    cancelled = connection.execute(select(cancels.c.run_id).where(cancels.c.run_id == run.run_id))
    if not waits or len(parked) < len(workers) or cancelled.first():
        unpark(connection, run.run_id)
    add_approvals(connection, run.run_id, sorted(new))
    return [it for it in requests_of(connection, run.run_id) if it.approval_id in new]


def _add(
    connection: Connection,
    run: Run,
    approval_id: str,
    request: ApprovalRequest,
    definition: str,
    now: float,
) -> bool:
    """Write a request; False if the same call is asked for or decided already."""
    fields = {
        "approval_id": approval_id,
        "run_id": run.run_id,
        "agent": run.agent,
        "root_id": run.root_id,
        "epoch": run.epoch,
        "turn": request.turn,
        "position": request.position,
        "kind": request.kind,
        "name": request.name,
        "arguments": request.arguments,
        "hash": request.hash,
        "definition": definition,
        "asked_at": now,
        "expires_at": now + request.expires_s,
        "state": ApprovalState.PENDING,
        "decided_at": None,
    }
    if insert_new(connection, approvals, fields):
        return True
    again = and_(  # the definition was edited, and is now as it was
        approvals.c.approval_id == approval_id, approvals.c.state == ApprovalState.WITHDRAWN
    )
    return connection.execute(update(approvals).where(again).values(fields)).rowcount > 0


def requests_of(connection: Connection, run_id: str) -> Sequence[Approval]:
    """All requests of a run, in the order in which they were made."""
    query = select(approvals).where(approvals.c.run_id == run_id)
    ordered = query.order_by(approvals.c.asked_at, approvals.c.turn, approvals.c.position)
    return [approval_of(row) for row in connection.execute(ordered).mappings()]


def decide(
    connection: Connection, approval_id: str, decision: ApprovalState, by: str, note: str = ""
) -> Decided | None:
    """Approve or deny a call and make its run due; None if there is no such request.

    The first decision counts, and one after the request's expiry does not.
    """
    query = select(approvals).where(approvals.c.approval_id == approval_id)
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    of_request = select(runs.c.ended_at).where(runs.c.run_id == found["run_id"])
    run = connection.execute(of_request.with_for_update()).first()
    now = connection.execute(select(now_s())).scalar_one()
    approval = approval_of(connection.execute(query).mappings().one())
    if approval.state is not ApprovalState.PENDING:
        return Decided(_effect(approval, decision), approval)
    if run is None or run.ended_at is not None:
        return Decided(Effect.ENDED, approval)
    late = approval.expires_at <= now
    state = ApprovalState.EXPIRED if late else decision
    fields: dict[str, object] = {"state": state, "decided_at": now}
    if not late:
        fields |= {"decided_by": storable(by)[:BY_CHARS], "note": storable(note)[:NOTE_CHARS]}
    connection.execute(
        update(approvals).where(approvals.c.approval_id == approval_id).values(fields)
    )
    unpark(connection, approval.run_id)
    after = approval_of(connection.execute(query).mappings().one())
    return Decided(Effect.OTHERWISE if late else Effect.DECIDED, after)


def _effect(approval: Approval, decision: ApprovalState) -> Effect:
    if approval.state is ApprovalState.WITHDRAWN:
        return Effect.ENDED
    return Effect.ALREADY if approval.state is decision else Effect.OTHERWISE


def expire(connection: Connection, agent: str, *, batch: int = BATCH) -> int:
    """Let the requests expire whose time is over, and make their runs due; returns how many."""
    late = and_(approvals.c.agent == agent, PENDING, approvals.c.expires_at <= now_s())
    chosen = select(approvals.c.run_id).where(late).order_by(approvals.c.expires_at).limit(batch)
    run_ids = sorted({row.run_id for row in connection.execute(chosen)})
    locked = select(runs.c.run_id).where(runs.c.run_id.in_(run_ids)).order_by(runs.c.run_id)
    connection.execute(locked.with_for_update()).all()
    expired = connection.execute(
        update(approvals)
        .where(late, approvals.c.run_id.in_(run_ids))
        .values(state=ApprovalState.EXPIRED, decided_at=now_s())
    )
    for run_id in run_ids:
        unpark(connection, run_id)
    return expired.rowcount


_WITHDRAW = Prepared(
    lambda _: (
        update(approvals)
        .where(approvals.c.run_id == bindparam("ended_run"), PENDING)
        .values(state=ApprovalState.WITHDRAWN, decided_at=now_s())
        .returning(approvals.c.approval_id)
    )
)


def withdraw(connection: Connection, run: Run) -> None:
    """Withdraw the requests of a run that ends; one that was never parked has none."""
    if run.parked_at is not None:
        _WITHDRAW.rows(connection, {"ended_run": run.run_id})
