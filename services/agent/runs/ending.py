"""How a run ends that met what no run should: a fault of ours, of a tool, or of a damaged row."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

import structlog

from services.agent.loop.work import Outcome
from services.agent.runs.store_journal import StoredJournal
from shared.contract.messages import (
    HOPS_MOST,
    LABEL_CHARS,
    Response,
    Status,
    Task,
    Trigger,
    Usage,
    encode,
    response_id,
)
from shared.definitions.results import capped
from shared.store.runs.end import End
from shared.store.runs.run import Run, plain

CONTENT = "the run met a fault in its agent's process; the reason is there, in the log"
"""For the requester, who can't do anything about it."""

MOST_ANSWER_CHARS = 100_000
"""Longer than models answer, and within a message of 1 MiB however it is escaped."""

MOST_REASON_CHARS = 1_000
"""Of the error's own text, for the dead letter and `hutch show`; the log has all of it."""

log = structlog.get_logger()


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


def outcome(error: BaseException, journal: StoredJournal | None) -> Outcome:
    """`failed`, with the error's own text for the operator, whatever its `__str__` does."""
    told = "".join(traceback.format_exception_only(error)).strip()
    reason = plain(capped(f"a fault in the run: {told}", MOST_REASON_CHARS))
    return Outcome(status=Status.FAILED, content=CONTENT, detail=reason, usage=_spent(journal))


def ending(run: Run, outcome: Outcome) -> End:
    """An end of which nothing can fail: it says only what the claim has checked already."""
    response = Response.model_construct(
        id=response_id(run.run_id, run.epoch),
        task_id=run.task_id,
        root_id=run.root_id,
        parent_id=run.task_id,
        sender=run.agent,
        agent=run.agent,
        status=outcome.status,
        content=outcome.content,
        usage=outcome.usage,
    )
    return End(
        status=outcome.status,
        message_id=response_id(run.run_id, run.epoch),
        response=encode(response).decode(),
        detail=outcome.detail,
    )


def _spent(journal: StoredJournal | None) -> Usage:
    try:
        return journal.usage() if journal else Usage()
    except Exception as error:
        log.warning("what the run has cost can't be read", exc_info=error)
        return Usage()
