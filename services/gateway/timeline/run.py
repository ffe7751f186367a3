"""One run with its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.gateway.access.caller import Caller
from services.gateway.approvals import ApprovalView, views
from services.gateway.timeline.outcome import outcome
from services.gateway.timeline.rows import Parents, RunRow, row_of
from services.gateway.timeline.step import usage_of
from shared.client.costs import read_costs
from shared.contract.approvals import ApprovalState
from shared.contract.messages import Usage
from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries.approval_lists import of_tree
from shared.store.queries.model_calls import model_calls, relatives
from shared.store.queries.reports import Row, rows_of
from shared.store.queries.texts import run_texts

MOST_BELOW = 500
"""The most caused runs that are read to count a run's workers."""


class RunMessage(BaseModel):
    model_config = ConfigDict(frozen=True)

    content: str
    context: str | None


class RunResponse(BaseModel):
    model_config = ConfigDict(frozen=True)

    content: str
    data: JsonValue
    model: str | None


class RunView(RunRow):
    """A run with its texts."""

    outcome: str = Field(description="one sentence on how it has ended, or what it does")
    cost: float | None = Field(
        description="in USD, of all it has caused too; null: no price is known"
    )
    usage: Usage = Field(description="with all it has caused; of its own steps while it is open")
    deadline_at: datetime
    owner: str | None
    definition: str = Field(description="the hash of its agent's definition")
    message: RunMessage | None
    response: RunResponse | None
    detail: str | None = Field(description="for operators")
    notes: list[str]
    approvals: list[ApprovalView] = Field(
        description="calls of it, and of all that it has caused, that need approval"
    )
    parent_run_id: str | None
    root_run_id: str


async def read_run(store: Store, settings: Settings, row: Row, caller: Caller) -> RunView:
    """The run of a row, with its texts and all that it has used.

    Of the requests for approval, those that the caller may see.
    """
    texts = await store.read(lambda db: run_texts(db, row.run_id, with_steps=False))
    family = await store.read(lambda db: relatives(db, [row.root_id]))
    parents = Parents(family)
    me = next((it for it in family if it.run_id == row.run_id), row)
    above = parents.parent(me)
    below = parents.below(row.run_id)
    costs = await read_costs(store, settings, [row.root_id])
    cost = costs.tree(row.run_id)
    response = None
    if texts.response:
        try:
            response = response_of(texts.response)
        except DamagedRow as error:
            texts = replace(texts, detail=f"{error}; {texts.detail or ''}".rstrip("; "))
    usage = response.usage if response else await _usage(store, row.run_id)
    others = await store.read(lambda db: rows_of(db, sorted(below)[:MOST_BELOW]))
    agents = {it.agent for it in others} - {row.agent}
    try:
        given = message_of(texts.message)
    except DamagedRow:
        message = None
    else:
        context = given.context if given.type == "task" else None
        message = RunMessage(content=given.content, context=context)
    asked = await store.read(lambda db: of_tree(db, row.root_id))
    approvals = views((it for it in asked if it.approval.run_id in {row.run_id, *below}), caller)
    return RunView(
        **dict(row_of(row)),
        outcome=outcome(
            row,
            response,
            texts.detail,
            agents,
            usage,
            cost,
            datetime.now(UTC),
            waits_for(approvals),
        ),
        cost=cost.usd if cost.usd or not cost.unpriced else None,
        usage=usage,
        deadline_at=texts.deadline_at,
        owner=row.owner,
        definition=texts.definition,
        message=message,
        response=response
        and RunResponse(content=response.content, data=response.data, model=response.model),
        detail=texts.detail,
        notes=list(texts.notes),
        approvals=approvals,
        parent_run_id=above[0] if above else None,
        root_run_id=parents.root(me),
    )


def waits_for(approvals: Sequence[ApprovalView]) -> str:
    """The calls that wait for a decision, in words."""
    pending = [it for it in approvals if it.state is ApprovalState.PENDING]
    return ", ".join(f"{it.name} of {it.agent}" for it in pending)


async def _usage(store: Store, run_id: str) -> Usage:
    """The usage of the finished model calls of an open run."""
    calls = await store.read(lambda db: model_calls(db, [run_id]))
    return sum((usage_of(it.output) or Usage() for it in calls), Usage())
