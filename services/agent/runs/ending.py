"""The end of a run: one commit holds its response, messages and last step; then they are sent."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from services.agent.delivery.outbox import Outbox
from services.agent.delivery.refusals import Refusals
from services.agent.instance import Instance
from services.agent.loop.work import Outcome, failed
from services.agent.runs.postponement import MOST_FAILURES
from services.agent.runs.store_journal import StoredJournal
from shared.concurrency.retry import run_to_completion
from shared.contract.messages import (
    ANSWERED,
    HOPS_MOST,
    LABEL_CHARS,
    Budget,
    Response,
    Status,
    Task,
    Trigger,
    Usage,
    encode,
    response_id,
)
from shared.contract.rows import storable
from shared.definitions.results import capped
from shared.errors import HutchError, StoreError, StoreUnavailable
from shared.store.runs.end import RunEnd, end
from shared.store.runs.run import Run
from shared.store.runs.steps import Step

FAULT = "the run met a fault in its agent's process; the reason is there, in the log"
"""The answer to the requester, who can't repair it."""

NOT_STORED = "a step of the run could not be stored"

MOST_ANSWER_CHARS = 100_000
"""Longer than any model's answer; even fully escaped, it fits into a message of 1 MiB."""

MOST_REASON_CHARS = 1_000
"""The length of an error's text in the dead letter and in `hutch show`; the log has all of it."""

BROADCAST_KINDS = {"task", "reaction"}
"""Kinds of run whose answer is broadcast to the swarm; ticks and triggers are not."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Ended:
    """The result of a run that has an outcome. `steps` are committed with it; `orphans` are the
    open calls to workers of a cancelled run, as (agent, task id)."""

    outcome: Outcome
    steps: tuple[Step, ...] = ()
    orphans: tuple[tuple[str, str], ...] = ()


@dataclass
class Endings:
    """Ends runs. Every method raises `RunLost`, and `StoreError` while the end isn't committed."""

    instance: Instance
    outbox: Outbox
    refusals: Refusals

    async def commit(self, run: Run, message: Task | Trigger, ended: Ended) -> None:
        """Commit an end and send its response.

        If the store refuses the last step, the run ends as failed without it: asked again, the
        model would probably reply the same.
        """
        try:
            await self._end(run, message, ended)
        except StoreUnavailable:
            raise
        except StoreError as error:
            if not ended.steps or ended.outcome.status is Status.CANCELLED:
                raise
            outcome = failed(NOT_STORED, str(error), ended.outcome.usage)
            await self._end(run, message, Ended(outcome))

    async def fail(self, run: Run, error: BaseException, journal: StoredJournal | None) -> Ended:
        """End a run that met a fault: dead-letter its message, and send a response that can't fail.

        Also raises `BrokerError` while the message can't be dead-lettered; after `MOST_FAILURES`
        attempts the run ends without a dead letter.
        """
        log.error("fault in a run", exc_info=error)
        outcome = failed(FAULT, _reason(error), _usage(journal))
        try:
            await self.refusals.give_up(run, outcome.detail or "")
        except Exception as broken:
            if isinstance(broken, HutchError) and run.failures < MOST_FAILURES:
                raise
            log.error("run ended without a dead letter", exc_info=broken)
        await self._commit(run, _fault_end(run, outcome))
        self._report(run, outcome)
        return Ended(outcome)

    async def give_up(self, run: Run, usage: Usage, reason: str, content: str) -> Ended:
        """Dead-letter the message of a run that can't go on; the caller commits the end.

        Also raises `BrokerError` while the message can't be dead-lettered.
        """
        await self.refusals.give_up(run, reason)
        return Ended(failed(content, reason, usage))

    async def _end(self, run: Run, message: Task | Trigger, ended: Ended) -> None:
        outcome = ended.outcome
        is_broadcast = (
            outcome.status in ANSWERED and run.kind in BROADCAST_KINDS and run.session is None
        )
        ending = RunEnd(
            status=outcome.status,
            message_id=response_id(run.run_id, run.epoch),
            response=encode(response(run, message, outcome)).decode(),
            detail=outcome.detail,
            broadcast_to=self.instance.definition.swarm if is_broadcast else None,
            cancelled=outcome.status is Status.CANCELLED,
            steps=ended.steps,
            orphans=ended.orphans,
        )
        await self._commit(run, ending)
        self._report(run, outcome, message.budget)

    async def _commit(self, run: Run, ending: RunEnd) -> None:
        write = self.instance.store.write(
            run.run_id, lambda connection: end(connection, run, ending, self.instance.id)
        )
        # Completed even if the run is handed over meanwhile: the result was paid for.
        self.outbox.send(await run_to_completion(write))

    def _report(self, run: Run, outcome: Outcome, budget: Budget | None = None) -> None:
        usage, status = outcome.usage, outcome.status
        self.instance.metrics.runs_ended.labels(status).inc()
        self.instance.announce("run.ended", run, status=status, model_calls=usage.model_calls)
        if status is Status.FAILED:  # the content of a failure is never a model's text
            log.warning("run ended", status=status, reason=outcome.detail or outcome.content)
        else:
            log.info("run ended", status=status, reason=outcome.detail)
        if budget and budget.overshot(usage):
            log.warning("budget overshot", budget=budget.model_dump(), usage=usage.model_dump())
            self.instance.announce("budget.overshot", run, tokens=usage.tokens)


def response(run: Run, message: Task | Trigger, outcome: Outcome) -> Response:
    """The response of a run. It is within the contract's bounds for every message and outcome."""
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
        data=outcome.data,
    )


def _fault_end(run: Run, outcome: Outcome) -> RunEnd:
    """An end that can't fail itself: it contains only values that the claim has checked."""
    unchecked = Response.model_construct(
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
    return RunEnd(
        status=outcome.status,
        message_id=response_id(run.run_id, run.epoch),
        response=encode(unchecked).decode(),
        detail=outcome.detail,
    )


def _reason(error: BaseException) -> str:
    """The error's text, even if its `__str__` raises."""
    text = "".join(traceback.format_exception_only(error)).strip()
    return storable(capped(f"a fault in the run: {text}", MOST_REASON_CHARS))


def _usage(journal: StoredJournal | None) -> Usage:
    try:
        return journal.usage() if journal else Usage()
    except Exception as error:
        log.warning("the run's usage can't be read", exc_info=error)
        return Usage()
