"""The one response of a run."""

from __future__ import annotations

from datetime import UTC, datetime

from services.agent.loop.work import Outcome
from shared.contract.messages import HOPS_MOST, LABEL_CHARS, Response, Task, Trigger, response_id
from shared.definitions.results import capped
from shared.store.runs.run import Run

MOST_ANSWER_CHARS = 100_000
"""Longer than models answer, and within a message of 1 MiB however it is escaped."""


def response(run: Run, message: Task | Trigger, outcome: Outcome) -> Response:
    """What the run's end commits; its bounds are the contract's, whatever was asked and said."""
    return Response(
        id=response_id(run.run_id, run.epoch),
        task_id=run.task_id,
        root_id=run.root_id,
        parent_id=run.task_id,
        path=(*message.path, run.agent)[-64:],
        hops=min(message.hops + 1, HOPS_MOST),
        traceparent=message.traceparent,
        sender=run.agent,
        sent_at=datetime.now(UTC),
        agent=run.agent,
        status=outcome.status,
        content=capped(outcome.content, MOST_ANSWER_CHARS),
        usage=outcome.usage,
        model=outcome.model and outcome.model[:LABEL_CHARS],
    )
