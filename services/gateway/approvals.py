"""Requests for approval as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.gateway.access.caller import Caller
from shared.contract.approvals import ApprovalState
from shared.contract.rows import json_or_text
from shared.store.queries.approval_lists import ShownApproval


class ApprovalView(BaseModel):
    """A call that needs a person's approval, and the decision."""

    model_config = ConfigDict(frozen=True)

    id: str
    state: ApprovalState = Field(
        description="`expired`: denied, as no decision came in time; `withdrawn`: its run has "
        "ended, or wants to make another call instead"
    )
    agent: str = Field(description="the agent that wants to make the call")
    path: list[str] = Field(description="the agents on the way to it, itself at the end")
    kind: str = Field(description="tool or worker")
    name: str = Field(description="of the tool or worker")
    arguments: JsonValue = Field(description="as its model gave them; text if they are no JSON")
    run_id: str
    root_id: str = Field(description="the id of the message that its tree began with")
    epoch: int
    turn: int
    position: int
    asked_at: datetime
    expires_at: datetime = Field(description="after it, the call is denied")
    decided_at: datetime | None
    decided_by: str | None
    note: str | None


def view_of(shown: ShownApproval) -> ApprovalView:
    it = shown.approval
    return ApprovalView(
        id=it.approval_id,
        state=it.state,
        agent=it.agent,
        path=list(shown.path),
        kind=it.kind,
        name=it.name,
        arguments=json_or_text(it.arguments),
        run_id=it.run_id,
        root_id=it.root_id,
        epoch=it.epoch,
        turn=it.turn,
        position=it.position,
        asked_at=_time(it.asked_at),
        expires_at=_time(it.expires_at),
        decided_at=None if it.decided_at is None else _time(it.decided_at),
        decided_by=it.decided_by,
        note=it.note or None,
    )


def views(found: Iterable[ShownApproval], caller: Caller) -> list[ApprovalView]:
    """The requests that the caller may see."""
    return [view_of(it) for it in found if caller.sees(it.approval.agent)]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
