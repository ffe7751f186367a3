"""One run with its texts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from services.gateway.timeline.outcome import outcome
from services.gateway.timeline.rows import Parents, RunRow, row_of
from services.gateway.timeline.step import usage_of
from shared.client.costs import read_costs
from shared.contract.messages import Usage
from shared.contract.rows import message_of, response_of
from shared.errors import DamagedRow
from shared.settings.environment import Settings
from shared.store import Store
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
    parent_run_id: str | None
    root_run_id: str


async def read_run(store: Store, settings: Settings, row: Row) -> RunView:
    """The run of a row, with its texts and all that it has used."""
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
        asked = message_of(texts.message)
    except DamagedRow:
        message = None
    else:
        context = asked.context if asked.type == "task" else None
        message = RunMessage(content=asked.content, context=context)
    return RunView(
        **dict(row_of(row)),
        outcome=outcome(row, response, texts.detail, agents, usage, cost, datetime.now(UTC)),
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
        parent_run_id=above[0] if above else None,
        root_run_id=parents.root(me),
    )


async def _usage(store: Store, run_id: str) -> Usage:
    """The usage of the finished model calls of an open run."""
    calls = await store.read(lambda db: model_calls(db, [run_id]))
    return sum((usage_of(it.output) or Usage() for it in calls), Usage())
