"""The open runs of this process: each is a job, from its claim or take-over to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from services.agent.chat import Model
from services.agent.instance import Instance
from services.agent.models import Models
from services.agent.refusal import Refusal
from services.agent.relay import Relay
from services.agent.run import Outcome, Tools, Work, run
from services.agent.slots import Slots
from services.agent.snapshot import Snapshot, thawed
from services.agent.stored import StoredJournal
from services.agent.told import ToldModel, ToldTools
from services.agent.verdict import verdict
from services.agent.workers import Calls, Replies
from shared.errors import BrokerError, HutchError, JournalMismatch, RunLost, SettingsError
from shared.messages import Response, Status, Task, Trigger, encode, response_id
from shared.store.claims import End, end, hand_over
from shared.store.journal import Step, resumed
from shared.store.runs import Run
from shared.tools import capped

log = structlog.get_logger()
_MESSAGE: TypeAdapter[Task | Trigger] = TypeAdapter(Task | Trigger)

MOST_ATTEMPTS = 5
"""Processes that may die on one run without a step of it finishing."""

GIVE_UP_AGAIN_S = 5.0
"""Until the next try to dead-letter a run, while the broker doesn't take it."""

MOST_ANSWER_CHARS = 100_000
"""Longer than models answer, and within a message of 1 MiB however it is escaped."""

BROADCAST_KINDS = {"task", "reaction"}
"""A tick's or a trigger's outcome is for whoever asked, not for the swarm."""


@dataclass
class Runs:
    """Starts runs and ends them: one committed response each, handed to the relay."""

    instance: Instance
    slots: Slots
    relay: Relay
    refusal: Refusal
    replies: Replies
    tools: Tools
    models: Models
    jobs: asyncio.TaskGroup
    _open: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _closed: bool = False

    def start(self, run: Run) -> None:
        """Begin or go on with a claimed run; the caller has taken its slot."""
        if self._closed:  # its claim was under way when the others were handed over
            self.slots.release(computing=True)
            self.jobs.create_task(self._give_back(run))
            return
        if run.run_id in self._open:  # taken back from ourselves: the old job finds its fence old
            self._open.pop(run.run_id).cancel()
        self._open[run.run_id] = self.jobs.create_task(self._perform(run))

    def holds(self, run_id: str) -> bool:
        return run_id in self._open

    async def hand_over(self) -> None:
        """Stop every open run, and each that is still claimed; any replica goes on with them."""
        self._closed = True
        jobs = list(self._open.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _perform(self, run: Run) -> None:
        structlog.contextvars.bind_contextvars(task=run.task_id, run=run.run_id)
        message = _MESSAGE.validate_json(run.message)
        calls = Calls(self.instance, self.replies, self.slots, run, message)
        try:
            await self._end(run, message, await self._outcome(run, message, calls))
        except RunLost as error:
            log.warning("run lost", reason=str(error))
        except BrokerError as error:
            log.warning("run not given up yet", reason=str(error))
            await self._give_back(run, delay_s=GIVE_UP_AGAIN_S)
        except asyncio.CancelledError:
            await self._give_back(run)
            raise
        finally:
            if self._open.get(run.run_id) is asyncio.current_task():
                del self._open[run.run_id]
            self.slots.release(computing=calls.holds_slot)

    async def _outcome(self, run: Run, message: Task | Trigger, calls: Calls) -> Outcome:
        steps, left_s = await self._resume(run)
        journal = StoredJournal(self.instance.store, run, steps)
        if run.attempts >= MOST_ATTEMPTS:
            return await self._give_up(run, journal)
        try:
            snapshot = thawed(run.definition)
            if refusal := verdict(snapshot.definition, message, left_s):
                return refusal
            log.info("run started", attempts=run.attempts, steps=len(steps))
            self.instance.tell("run.started", run, kind=run.kind, steps=len(steps))
            model = self.models.of(snapshot.definition)
            async with asyncio.timeout(left_s):
                return await self._loop(run, message, snapshot, model, calls, journal)
        except TimeoutError:
            limit = f"no answer within {run.deadline_at - run.claimed_at:.0f} s"
            return Outcome(status=Status.TIMEOUT, content=limit, usage=journal.usage())
        except (JournalMismatch, SettingsError, ValidationError) as error:  # another version's
            return _failed("the run could not be resumed", error, journal)

    async def _give_up(self, run: Run, journal: StoredJournal) -> Outcome:
        """Raises `BrokerError` while its message can't be dead-lettered."""
        reason = f"{run.attempts} processes have died on it without finishing a step"
        await self.refusal.give_up(run, reason)
        content = "given up: " + reason
        return Outcome(status=Status.FAILED, content=content, usage=journal.usage())

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
            now=datetime.fromtimestamp(run_.claimed_at, UTC),
            workers=() if bare else snapshot.workers,
            tools=() if bare else snapshot.tools,
        )
        return await run(
            work,
            ToldModel(model, self.instance, run_),
            ToldTools(self.tools, self.instance, run_),
            calls,
            journal,
        )

    async def _resume(self, run: Run) -> tuple[Sequence[Step], float]:
        """The finished steps, and the seconds that the store's clock leaves the run."""
        if run.fence == 1:
            return (), run.deadline_at - run.claimed_at
        steps, now = await self.instance.store.read(lambda connection: resumed(connection, run))
        return steps, run.deadline_at - now

    async def _end(self, run: Run, message: Task | Trigger, outcome: Outcome) -> None:
        response = _response(run, message, outcome)
        swarm = self.instance.definition.swarm
        spoken = outcome.status in {Status.OK, Status.PARTIAL} and run.kind in BROADCAST_KINDS
        ending = End(
            status=outcome.status,
            message_id=response_id(run.run_id),
            response=encode(response).decode(),
            detail=outcome.detail.replace("\0", "") if outcome.detail else None,
            broadcast_to=swarm if spoken else None,
        )
        sent = await self.instance.store.write(
            run.run_id, lambda connection: end(connection, run, ending, self.instance.id)
        )
        self.relay.send(sent)
        self._account(run, outcome)

    def _account(self, run: Run, outcome: Outcome) -> None:
        self.instance.metrics.runs_ended.labels(outcome.status).inc()
        self.instance.tell(
            "run.ended", run, status=outcome.status, model_calls=outcome.usage.model_calls
        )
        log.info("run ended", status=outcome.status, reason=outcome.detail)

    async def _give_back(self, run: Run, delay_s: float = 0.0) -> None:
        try:
            await self.instance.store.write(
                run.run_id, lambda connection: hand_over(connection, run, delay_s=delay_s)
            )
        except HutchError as error:  # whoever finds this process gone takes the run over
            log.warning("run not handed over", reason=str(error))


def _failed(content: str, error: Exception, journal: StoredJournal) -> Outcome:
    return Outcome(status=Status.FAILED, content=content, detail=str(error), usage=journal.usage())


def _response(run: Run, message: Task | Trigger, outcome: Outcome) -> Response:
    return Response(
        id=response_id(run.run_id),
        task_id=run.task_id,
        root_id=run.root_id,
        parent_id=run.task_id,
        path=(*message.path, run.agent)[-64:],
        hops=message.hops + 1,
        traceparent=message.traceparent,
        sender=run.agent,
        sent_at=datetime.now(UTC),
        agent=run.agent,
        status=outcome.status,
        content=capped(outcome.content, MOST_ANSWER_CHARS),
        usage=outcome.usage,
        model=outcome.model,
    )
