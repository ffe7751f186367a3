"""The execution of a claimed run in this process, up to its committed end.

`execute` runs an attempt and handles its result, see `results`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import structlog
from pydantic import ValidationError

from services.agent.instance import Instance
from services.agent.llm.registry import with_model
from services.agent.loop import loop
from services.agent.loop.approvals import RunParked
from services.agent.loop.precheck import precheck
from services.agent.loop.snapshot import Snapshot, restore_snapshot
from services.agent.loop.work import Outcome, Work, failed
from services.agent.memory.built_in import BuiltIn
from services.agent.runs.admission import Slot
from services.agent.runs.cancellation import CancelScope, CancelScopes, cancelled_end
from services.agent.runs.ending import NOT_STORED, Ended, Endings
from services.agent.runs.instrumentation import InstrumentedTools
from services.agent.runs.models.pause import Pause
from services.agent.runs.models.run_models import RunModels
from services.agent.runs.parking import park, report_decision
from services.agent.runs.postponement import MOST_FAILURES, postpone, postpone_for_limit
from services.agent.runs.results import HandedOver, Lost, Parked, Postponed, Result, interrupted
from services.agent.runs.store_journal import StoredJournal
from services.agent.runs.stream import RunStream
from services.agent.runs.workers import Replies, WorkerCalls
from services.agent.tools.toolbox import RunTools, Toolbox
from shared.concurrency.fault_boundary import is_own_cancellation
from shared.contract.messages import Status, Task, Trigger, Usage
from shared.contract.rows import message_of
from shared.errors import (
    BrokerError,
    DamagedRow,
    HutchError,
    JournalMismatch,
    LimitReached,
    ModelUnavailable,
    RunCancelled,
    RunHandedOver,
    RunLost,
    SettingsError,
    StoreError,
    StoreUnavailable,
)
from shared.store.runs.run import Run
from shared.store.runs.steps import resumed
from shared.store.runs.takeover import hand_over
from shared.validation import first_fault

log = structlog.get_logger()

MOST_ATTEMPTS = 5
"""A run is given up once so many of its owners have died without a step of it finishing."""

NOT_RESUMED = "the run could not be resumed"


@dataclass
class Execution:
    """Executes the runs of this process, each by a call of `execute`."""

    instance: Instance
    parts: RunParts
    scopes: CancelScopes
    endings: Endings
    _journals: dict[tuple[str, int], StoredJournal] = field(default_factory=dict)
    """By run and fence: a run that this process has taken over from itself has a new fence."""

    async def execute(self, run: Run, slot: Slot) -> None:
        """Execute a claimed run. The caller releases the slot afterwards.

        Raises only `CancelledError`, after the run was handed over: any replica can go on with it
        at once. An error in the run ends this run only.
        """
        structlog.contextvars.bind_contextvars(task=run.task_id, run=run.run_id)
        try:
            result = await self._committed(run, slot)
        except BaseException as error:
            if is_own_cancellation(error):
                await self.hand_over(run)
                raise
            result = interrupted(run, error)
        finally:
            self._journals.pop(_key(run), None)
        match result:
            case Ended() | Postponed() | Parked():
                pass
            case HandedOver(delay_s):
                await self.hand_over(run, delay_s)
            case Lost(reason):
                log.warning("run lost", reason=reason)

    async def _committed(self, run: Run, slot: Slot) -> Result:
        """The result, committed if it is an end; a fault ends the run as failed.

        Raises the errors that interrupt a run.
        """
        try:
            message, damage = _message(run)
            result = damage or await self._attempt(run, message, slot)
            if isinstance(result, Ended):
                await self.endings.commit(run, message, result)
            return result
        except BaseException as error:
            if is_own_cancellation(error) or isinstance(error, RunLost | StoreError | BrokerError):
                raise
            return await self.endings.fail(run, error, self._journals.get(_key(run)))

    async def _attempt(self, run: Run, message: Task | Trigger, slot: Slot) -> Result:
        """Resume the run from its journal and run its loop."""
        if run.cancelled:
            return await cancelled_end(self.instance.store, run)
        journal, left_s = await self.parts.journal(run, slot)
        if in_doubt := journal.call_in_doubt():
            usage = journal.usage()
            return await self.endings.give_up(run, usage, str(in_doubt), in_doubt.public)
        if run.attempts >= MOST_ATTEMPTS:
            reason = f"{run.attempts} processes have died on it without finishing a step"
            return await self.endings.give_up(run, journal.usage(), reason, f"given up: {reason}")
        self._journals[_key(run)] = journal
        try:
            snapshot = restore_snapshot(run.definition)
            waited = run.failures or journal.cause.waits_for or self.parts.pause.on
            if left_s <= 0 and (journal.finished or waited):
                raise TimeoutError
            refused = precheck(snapshot.definition, message, left_s)
            if refused := refused or await self.parts.models.price_refusal(message, snapshot):
                return Ended(refused.model_copy(update={"usage": journal.usage()}))
            log.info("run started", attempts=run.attempts, steps=journal.finished)
            self.instance.announce("run.started", run, kind=run.kind, steps=journal.finished)
            async with self.scopes.open(run, left_s) as scope:
                outcome = await self.parts.loop(run, message, snapshot, slot, journal, scope)
                return Ended(outcome, journal.at_end)
        except (TimeoutError, HutchError, ValidationError) as error:
            return await self._result_of(run, message, journal, error)

    async def _result_of(
        self, run: Run, message: Task | Trigger, journal: StoredJournal, error: Exception
    ) -> Result:
        """The result of an attempt that raised. Interruptions and faults are raised again."""
        match error:
            case TimeoutError():
                return Ended(_timeout(run, message, journal, paused=self.parts.pause.on))
            case RunCancelled():
                return await cancelled_end(self.instance.store, run)
            case RunHandedOver():
                return HandedOver()
            case RunParked():
                await park(self.instance, run, error)
                return Parked()
            case LimitReached():
                await postpone_for_limit(self.instance, run, journal, error)
                return Postponed()
            case ModelUnavailable():
                if await postpone(self.instance, run, journal, error):
                    return Postponed()
                reason = f"postponed {MOST_FAILURES} times in a row, and then: {error}"
                content = f"given up: {error.public}"
                return await self.endings.give_up(run, journal.usage(), reason, content)
            case ValidationError():
                return Ended(failed(NOT_RESUMED, first_fault(error), journal.usage()))
            case DamagedRow() | JournalMismatch() | SettingsError():
                return Ended(failed(NOT_RESUMED, str(error), journal.usage()))
            case StoreError() if not isinstance(error, StoreUnavailable):
                return Ended(failed(NOT_STORED, str(error), journal.usage()))
        raise error

    async def hand_over(self, run: Run, delay_s: float = 0.0) -> None:
        """Let any replica go on with a run, at once or after a delay. Raises nothing."""
        try:
            await self.instance.store.write(
                run.run_id, lambda connection: hand_over(connection, run, delay_s=delay_s)
            )
            log.info("run handed over", seconds=delay_s)
        except HutchError as error:  # once this process is gone, the run is taken over
            log.warning("run not handed over", reason=str(error))
        except Exception as error:
            log.error("run not handed over", exc_info=error)

    def unsafe_calls_ended(self, run: Run) -> asyncio.Event | None:
        """An event that is set when the last unrepeatable call in progress has ended; None if
        there is none."""
        journal = self._journals.get(_key(run))
        return None if journal is None or journal.settled.is_set() else journal.settled


@dataclass
class RunParts:
    """Creates the journal and the loop of one run from the objects that all runs here share."""

    instance: Instance
    replies: Replies
    toolbox: Toolbox
    built_in: BuiltIn
    models: RunModels
    pause: Pause

    async def journal(self, run: Run, slot: Slot) -> tuple[StoredJournal, float]:
        """The run's journal, and the seconds until its deadline by the store's clock."""
        store = self.instance.store
        if run.fence == 1:  # its first owner: nothing has been recorded
            left_s = run.deadline_at - run.claimed_at
            return StoredJournal(store, run, on_step=slot.share), left_s
        found = await store.read(partial(resumed, run=run))
        journal = StoredJournal(
            store,
            run,
            found.steps,
            found.doubtful,
            slot.share,
            postponed_for=found.postponed_for,
            asked=found.approvals,
            definition=partial(self.instance.call_digest, run),
            on_decision=partial(report_decision, self.instance, run),
        )
        journal.cause.waits_for = found.waits_for
        return journal, run.deadline_at - found.now

    def loop(
        self,
        run: Run,
        message: Task | Trigger,
        snapshot: Snapshot,
        slot: Slot,
        journal: StoredJournal,
        scope: CancelScope,
    ) -> Coroutine[None, None, Outcome]:
        """The run's loop, to be awaited; see `loop.run`.

        Raises `SettingsError` if the settings no longer allow the use of the run's model.
        """
        sums_up = run.kind == "tick"  # its run may call nothing
        definition = snapshot.definition
        work = Work(
            run_id=run.run_id,
            definition=definition,
            message=message,
            notes=run.notes,
            recalled=run.recalled,
            now=datetime.fromtimestamp(_starts_at(run, message), UTC),
            workers=() if sums_up else snapshot.workers,
            tools=() if sums_up else snapshot.tools,
            window=self.models.registry.of(definition).window,
            output=None if sums_up else snapshot.output,
        )
        model_of = partial(self.models.of, run, message, slot, journal)
        workers = WorkerCalls(self.instance, self.replies, slot, run, message)
        return loop.run(
            work,
            model_of(definition),
            InstrumentedTools(
                self.built_in.of(run, snapshot, RunTools(self.toolbox, run, self.instance)),
                self.instance,
                run,
            ),
            workers,
            journal,
            scope.left_s,
            RunStream(self.instance.publisher, run).turn if _streams(message) else None,
            lambda name: model_of(with_model(definition, name)),
        )


def _key(run: Run) -> tuple[str, int]:
    return run.run_id, run.fence


def _streams(message: Task | Trigger) -> bool:
    return isinstance(message, Task) and message.stream


def _message(run: Run) -> tuple[Task | Trigger, Ended | None]:
    """The run's message, and the run's end if its row can't be read."""
    try:
        message = message_of(run.message)
        if run.damage:
            raise DamagedRow(run.damage)
    except DamagedRow as error:
        message = Task(id=run.task_id, content=NOT_RESUMED)
        return message, Ended(failed(NOT_RESUMED, str(error), Usage()))
    return message, None


def _starts_at(run: Run, message: Task | Trigger) -> float:
    """The time from which the run's timeout counts, and the time that its model sees: that of its
    claim, or the one to which it was delayed."""
    not_before = message.not_before.timestamp() if message.not_before else 0.0
    return max(run.claimed_at, not_before)


def _timeout(run: Run, message: Task | Trigger, journal: StoredJournal, *, paused: bool) -> Outcome:
    given_s = run.deadline_at - run.parked_s - _starts_at(run, message)
    content = f"no answer within {given_s:.0f} s"
    detail = None
    if in_doubt := journal.call_in_doubt():
        detail = str(in_doubt)
    elif cause := journal.cause.describe(paused=paused):
        content, detail = f"{content}: {cause[0]}", cause[1]
    return Outcome(status=Status.TIMEOUT, content=content, detail=detail, usage=journal.usage())
