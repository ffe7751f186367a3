"""Calls that need approval: lists, one of them, and the decision."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.access import audit
from services.gateway.access.caller import Caller, Operator, Reader
from services.gateway.api.runs import run_of
from services.gateway.approvals import ApprovalView, view_of, views
from services.gateway.gateway import SharedGateway
from services.gateway.problems import Problem
from shared.contract.approvals import ApprovalState
from shared.contract.messages import AgentName, Id
from shared.store import Store
from shared.store.queries.approval_lists import ShownApproval, newest, number, one
from shared.store.queries.approvals import ApprovalFilter
from shared.store.runs import approvals
from shared.store.runs.approvals import NOTE_CHARS, Approval, Effect

router = APIRouter(prefix="/api/approvals", tags=["approvals"])

ApprovalId = Annotated[str, Path(pattern=r"^[0-9a-z]{1,16}$", description="the request's id")]
NO_KEY = "a client without a key"
"""Who decides at a gateway that needs no key."""
STATES = {"approve": ApprovalState.APPROVED, "deny": ApprovalState.DENIED}


class ApprovalPage(BaseModel):
    """A page of a list of requests, the newest first."""

    model_config = ConfigDict(frozen=True)

    approvals: list[ApprovalView]
    next: str | None = Field(description="to be sent as `before` for the next page; null: no more")
    total: int = Field(description="the number of requests on all pages")


class Decision(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"decision": "deny", "note": "Ask for the invoice."}]},
    )

    decision: Literal["approve", "deny"]
    note: str = Field(
        default="",
        max_length=NOTE_CHARS,
        description="why; that of a denial is read by the agent's model",
    )


@router.get("")
async def list_approvals(
    caller: Reader,
    gateway: SharedGateway,
    state: ApprovalState = ApprovalState.PENDING,
    agent: AgentName | None = None,
    run: Annotated[
        Id | None, Query(description="a run, by its id or a beginning of it: only its own requests")
    ] = None,
    tree: Annotated[
        Id | None, Query(description="a run: the requests of the whole tree that it belongs to")
    ] = None,
    before: Annotated[
        str | None,
        Query(pattern=r"^\d{1,12}\.\d{1,9}~[0-9a-z]{1,16}$", description="`next` of a page"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ApprovalPage:
    """The requests in this state that fit all filters, the newest first."""
    if agent is not None:
        caller.check(agent)
    store = gateway.store
    run_id = None if run is None else (await run_of(store, run, caller)).run_id
    root_id = None if tree is None else (await run_of(store, tree, caller)).root_id
    pending = state is ApprovalState.PENDING
    wanted = ApprovalFilter(pending, state, agent, caller.agents, run_id, root_id)
    place = _place(before)
    found, total = await store.read(
        lambda db: (newest(db, wanted, limit + 1, place), number(db, wanted))
    )
    page = found[:limit]
    last = page[-1].approval if len(found) > limit else None
    return ApprovalPage(
        approvals=[view_of(it) for it in page],
        next=f"{last.asked_at!r}~{last.approval_id}" if last else None,
        total=total,
    )


@router.get("/{id}")
async def show_approval(id: ApprovalId, caller: Reader, gateway: SharedGateway) -> ApprovalView:
    """One request with its arguments, and the decision."""
    return view_of(await _one(gateway.store, id, caller))


@router.post("/{id}")
async def decide(
    id: ApprovalId, decision: Decision, caller: Operator, gateway: SharedGateway
) -> ApprovalView:
    """Approve or deny the call; its run goes on within about a second.

    The same decision again changes nothing and has the same answer. If there is another one, or if
    the call is no longer wanted, the answer is 409, and `detail` says why.
    """
    store = gateway.store
    shown = await _one(store, id, caller)
    subject = f"{shown.approval.agent}/{id}"
    await audit.record(store, caller, f"approval.{decision.decision}", subject)
    state, by = STATES[decision.decision], caller.name if caller.key_id else NO_KEY
    decided = await store.write(
        shown.approval.run_id,
        partial(approvals.decide, approval_id=id, decision=state, by=by, note=decision.note),
    )
    if decided is None:
        raise _unknown(id)
    if decided.effect in {Effect.OTHERWISE, Effect.ENDED}:
        raise Problem(HTTPStatus.CONFLICT, _conflict(decided.approval))
    (seen,) = views([ShownApproval(decided.approval, shown.path)], caller)
    return seen


def _conflict(approval: Approval) -> str:
    match approval.state:
        case ApprovalState.APPROVED | ApprovalState.DENIED:
            return f"the call was already {approval.state} by {approval.decided_by}"
        case ApprovalState.EXPIRED:
            return "the request has expired, so the call is denied"
        case _:
            return "the run has ended, or wants to make another call instead"


async def _one(store: Store, approval_id: str, caller: Caller) -> ShownApproval:
    found = await store.read(partial(one, approval_id=approval_id))
    if found is None or not caller.sees(found.approval.agent):
        raise _unknown(approval_id)
    return found


def _unknown(approval_id: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, f"there is no request for approval '{approval_id}'")


def _place(cursor: str | None) -> tuple[float, str] | None:
    at, _, approval_id = (cursor or "").partition("~")
    return (float(at), approval_id) if approval_id else None
