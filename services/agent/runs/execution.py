"""The life of one run in this process: from its claim or take-over to its committed end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from pydantic import ValidationError

from services.agent.delivery.outbox import Relay
from services.agent.delivery.refusals import Refusal
from services.agent.instance import Instance
from services.agent.llm.chat import Model
from services.agent.llm.registry import ModelRegistry
from services.agent.loop.loop import run
from services.agent.loop.precheck import verdict
from services.agent.loop.snapshot import Snapshot, thawed
from services.agent.loop.work import Outcome, Work
from services.agent.runs import ending as endings
from services.agent.runs.admission import Slot
from services.agent.runs.cancellation import Left, Scopes, wind_up
from services.agent.runs.ending import response
from services.agent.runs.instrumentation import ToldModel, ToldTools
from services.agent.runs.pause import Brake, Braked
from services.agent.runs.postponement import MOST_FAILURES, give_up, pause_s, put_off_or_give_up
from services.agent.runs.store_journal import StoredJournal
from services.agent.runs.toolbox import Toolbox
from services.agent.runs.workers import Calls, Replies, SharedDeadline
from shared.concurrency.boundary import passes
from shared.concurrency.retry import to_its_end
from shared.contract.messages import Budget, Status, Task, Trigger, encode, response_id
from shared.contract.rows import message_of
from shared.errors import (
    BrokerError,
    DamagedRow,
    HutchError,
    JournalMismatch,
    ModelUnavailable,
    RunCancelled,
    RunHandedOver,
    RunLost,
    SettingsError,
    StoreError,
    StoreUnavailable,
)
from shared.store.runs.end import End, end
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, resumed
from shared.store.runs.takeover import hand_over
from shared.store.runs.tool_starts import Start

log = structlog.get_logger()

MOST_ATTEMPTS = 5
"""Processes that may die on one run without a step of it finishing."""

KEPT_AGAIN_S = 60.0
"""Until the next try to end a run whose end the store has refused."""

NOT_RESUMED = "the run could not be resumed"
NOT_STORED = "a step of the run could not be stored"

BROADCAST_KINDS = {"task", "reaction"}
"""A tick's or a trigger's outcome is for whoever asked, not for the swarm."""


@dataclass
class Lives:
    """What every run of this process lives on; it ends in one committed response, relayed."""

    instance: Instance
    relay: Relay
    refusal: Refusal
    replies: Replies
    tools: Toolbox
    models: ModelRegistry
    brake: Brake
    scopes: Scopes
    _journals: dict[tuple[str, int], StoredJournal] = field(default_factory=dict)
    """By run and fence: a run that was taken back from ourselves has another one."""

    async def live(self, run: Run, slot: Slot) -> None:
        """Go on with a claimed run to its end. The slot stays its owner's, to release afterwards.

        Whatever the run meets ends this run and nothing else: only cancellation is raised. It
        hands the run over: any replica goes on with it at once.
        """
        structlog.contextvars.bind_contextvars(task=run.task_id, run=run.run_id)
        try:
            await self._to_an_end(run, slot)
        except RunLost as error:
            log.warning("run lost", reason=str(error))
        except StoreError as error:
            log.error("run not ended yet", reason=str(error))
            await self.give_back(run, delay_s=KEPT_AGAIN_S)
        except BrokerError as error:
            log.warning("run not given up yet", reason=str(error))
            await self.give_back(run, delay_s=pause_s(run.failures + 1))
        except BaseException as error:
            if passes(error):
                await self.give_back(run)
                raise
            log.error("run not ended yet", exc_info=error)
            await self.give_back(run, delay_s=KEPT_AGAIN_S)
        finally:
            self._journals.pop(_key(run), None)

    def acting(self, run: Run) -> asyncio.Event | None:
        """Set once the calls of the run that must not be made twice have ended; None: there are
        none now."""
        journal = self._journals.get(_key(run))
        return None if journal is None or journal.settled.is_set() else journal.settled

    async def _to_an_end(self, run: Run, slot: Slot) -> None:
        """The end that the run comes to; or `failed`, by what no run should meet."""
        try:
            await self._to_its_end(run, slot)
        except (RunLost, StoreError, BrokerError):
            raise
        except BaseException as error:
            if passes(error):
                raise
            await self._fail(run, error)

    async def _fail(self, run: Run, error: BaseException) -> None:
        """Keep the message among the dead letters, and answer with what can't fail too.

        A letter that can't be kept is tried again some times, and then left out: this has an end.
        """
        log.error("fault in a run", exc_info=error)
        outcome = endings.outcome(error, self._journals.get(_key(run)))
        try:
            await self.refusal.give_up(run, outcome.detail or "")
        except Exception as broken:
            if isinstance(broken, HutchError) and run.failures < MOST_FAILURES:
                raise
            log.error("run ended without a dead letter", exc_info=broken)
        await self._commit(run, endings.ending(run, outcome))
        self._account(run, outcome)

    async def _to_its_end(self, run: Run, slot: Slot) -> None:
        message, unreadable = _read(run)
        calls = Calls(self.instance, self.replies, slot, run, message)
        left = Left()
        try:
            outcome = unreadable or await self._outcome(run, message, calls)
        except RunCancelled:
            left = await wind_up(self.instance.store, run)
            outcome = Outcome(status=Status.CANCELLED, content="cancelled", usage=left.usage)
        if outcome is None:
            return
        try:
            await self._end(run, message, outcome, left)
        except StoreUnavailable:
            raise
        except StoreError as error:
            journal = self._journals.get(_key(run))
            if journal is None or not journal.last:
                raise
            journal.last = ()  # asked again, the model would most likely say the same
            await self._end(run, message, _failed(NOT_STORED, error, journal), left)

    async def _outcome(self, run: Run, message: Task | Trigger, calls: Calls) -> Outcome | None:
        """How the run ends; None: it doesn't yet: its model is away, or another goes on with it.

        Raises `RunCancelled`, also when it was before this process had the run.
        """
        if run.cancelled:
            raise RunCancelled(f"run {run.run_id} was cancelled before it was taken")
        steps, doubtful, left_s = await self._resume(run)
        journal = StoredJournal(self.instance.store, run, steps, doubtful, calls.slot.share)
        if doubt := journal.doubt():
            return await give_up(self.refusal, run, journal, str(doubt), doubt.public)
        if run.attempts >= MOST_ATTEMPTS:
            reason = f"{run.attempts} processes have died on it without finishing a step"
            return await give_up(self.refusal, run, journal, reason, "given up: " + reason)
        self._journals[_key(run)] = journal
        try:
            snapshot = thawed(run.definition)
            if left_s <= 0 and (steps or run.failures):
                raise TimeoutError
            if refusal := verdict(snapshot.definition, message, left_s):
                return refusal.model_copy(update={"usage": journal.usage()})
            log.info("run started", attempts=run.attempts, steps=len(steps))
            self.instance.tell("run.started", run, kind=run.kind, steps=len(steps))
            model = self.models.of(snapshot.definition)
            async with self.scopes.until(run, left_s):
                return await self._loop(run, message, snapshot, model, calls, journal)
        except TimeoutError:
            limit = f"no answer within {run.deadline_at - run.claimed_at:.0f} s"
            cut_off = journal.doubt()
            detail = str(cut_off) if cut_off else None
            usage = journal.usage()
            return Outcome(status=Status.TIMEOUT, content=limit, detail=detail, usage=usage)
        except RunHandedOver:
            await self.give_back(run)
            return None
        except ModelUnavailable as error:
            return await put_off_or_give_up(self.instance, self.refusal, run, journal, error)
        except (DamagedRow, JournalMismatch, SettingsError, ValidationError) as error:
            return _failed(NOT_RESUMED, error, journal)
        except StoreUnavailable:
            raise
        except StoreError as error:
            return _failed(NOT_STORED, error, journal)

    async def _loop(
        self,
        run_: Run,
        message: Task | Trigger,
        snapshot: Snapshot,
        model: Model,
        calls: Calls,
        journal: StoredJournal,
    ) -> Outcome:
        bare = run_.kind == "tick"  # it sums up; it must not act
        work = Work(
            run_id=run_.run_id,
            definition=snapshot.definition,
            message=message,
            notes=run_.notes,
            recalled=run_.recalled,
            now=datetime.fromtimestamp(run_.claimed_at, UTC),
            workers=() if bare else snapshot.workers,
            tools=() if bare else snapshot.tools,
        )
        return await run(
            work,
            Braked(ToldModel(model, self.instance, run_), self.brake, journal),
            ToldTools(self.tools, self.instance, run_),
            SharedDeadline(calls, lambda: self.scopes.left_s(run_.run_id)),
            journal,
        )

    async def _resume(self, run: Run) -> tuple[Sequence[Step], Sequence[Start], float]:
        """What has been done, what is in doubt, and the seconds that the store's clock leaves."""
        if run.fence == 1:
            return (), (), run.deadline_at - run.claimed_at
        found = await self.instance.store.read(lambda connection: resumed(connection, run))
        return found.steps, found.doubtful, run.deadline_at - found.now

    async def _end(self, run: Run, message: Task | Trigger, outcome: Outcome, left: Left) -> None:
        said = response(run, message, outcome)
        swarm = self.instance.definition.swarm
        journal = self._journals.get(_key(run))
        answered = outcome.status in {Status.OK, Status.PARTIAL}
        spoken = answered and run.kind in BROADCAST_KINDS and run.session is None
        ending = End(
            status=outcome.status,
            message_id=response_id(run.run_id, run.epoch),
            response=encode(said).decode(),
            detail=outcome.detail,
            broadcast_to=swarm if spoken else None,
            cancelled=outcome.status is Status.CANCELLED,
            steps=left.answers or (journal.last if journal else ()),
            orphans=left.orphans,
        )
        await self._commit(run, ending)
        self._account(run, outcome, message.budget)

    async def _commit(self, run: Run, ending: End) -> None:
        write = self.instance.store.write(
            run.run_id, lambda connection: end(connection, run, ending, self.instance.id)
        )
        # What has been paid for is kept: its commit goes on when the run is handed over.
        self.relay.send(await to_its_end(write))
        if run.session is not None:  # the next of its session is due from here on
            self.instance.due.set()

    def _account(self, run: Run, outcome: Outcome, budget: Budget | None = None) -> None:
        usage, status = outcome.usage, outcome.status
        self.instance.metrics.runs_ended.labels(status).inc()
        self.instance.tell("run.ended", run, status=status, model_calls=usage.model_calls)
        if status is Status.FAILED:  # its content is a reason too, never a model's words
            log.warning("run ended", status=status, reason=outcome.detail or outcome.content)
        else:
            log.info("run ended", status=status, reason=outcome.detail)
        if budget and budget.overshot(usage):
            log.warning("budget overshot", budget=budget.model_dump(), usage=usage.tokens)
            self.instance.tell("budget.overshot", run, tokens=usage.tokens)

    async def give_back(self, run: Run, delay_s: float = 0.0) -> None:
        """Let any replica go on with a run, at once or after a delay."""
        try:
            await self.instance.store.write(
                run.run_id, lambda connection: hand_over(connection, run, delay_s=delay_s)
            )
            log.info("run handed over", seconds=delay_s)
        except HutchError as error:  # whoever finds this process gone takes the run over
            log.warning("run not handed over", reason=str(error))
        except Exception as error:
            log.error("run not handed over", exc_info=error)


def _key(run: Run) -> tuple[str, int]:
    return run.run_id, run.fence


def _read(run: Run) -> tuple[Task | Trigger, Outcome | None]:
    """The message; and how the run fails where something that its row holds can't be read."""
    try:
        message = message_of(run.message)
        if run.damage:
            raise DamagedRow(run.damage)
    except DamagedRow as error:
        said = Outcome(status=Status.FAILED, content=NOT_RESUMED, detail=str(error))
        return Task(id=run.task_id, content=said.content), said
    return message, None


def _failed(content: str, error: Exception, journal: StoredJournal) -> Outcome:
    return Outcome(status=Status.FAILED, content=content, detail=str(error), usage=journal.usage())
