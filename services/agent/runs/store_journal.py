"""The journal of a run in the store, which implements `loop.journal.Journal`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

import structlog
from pydantic import BaseModel, ValidationError

from services.agent.loop.journal import StepKey, StepKind, check_step
from services.agent.runs.models.cause import Cause
from shared.concurrency.retry import run_to_completion
from shared.contract.approvals import DECISIONS, DENIALS, ApprovalDecision, ApprovalRequest
from shared.contract.messages import Usage
from shared.errors import HutchError, ToolInDoubt
from shared.store import Store
from shared.store.database.engine import Operation
from shared.store.runs.approvals import Approval, request_id
from shared.store.runs.run import Run, lock
from shared.store.runs.steps import Step, write_step
from shared.store.runs.tool_starts import Start, drop_start, write_start
from shared.validation import first_fault

FENCE_CHECK_S = 1.0
"""For this time after a fenced write the fence isn't checked: a takeover needs 3 s of silence."""

NAME_CHARS = 200
"""Stored names of steps are cut at this length; a model can invent longer ones."""

MOST_SHOWN_CHARS = 300
"""The arguments of a call in doubt are cut at this length in a reason, not in `hutch show`."""

log = structlog.get_logger()


class _Output(BaseModel):
    """The part of a step's output that is read here."""

    usage: Usage | None = None


def _usage(step: Step) -> Usage:
    try:
        return _Output.model_validate_json(step.output).usage or Usage()
    except ValidationError as error:
        reason = first_fault(error)
        log.warning("damaged step not counted", turn=step.turn, step=step.position, reason=reason)
        return Usage()


class StoredJournal:
    """The steps of one run, for the instance that owns it. `on_step` is called at each record.

    `asked` are its requests for approval. A decision on one holds only under the `definition` that
    the instance has, a hash for a call's name; `on_decision` is called before it takes effect.
    """

    def __init__(
        self,
        store: Store,
        run: Run,
        steps: Sequence[Step] = (),
        in_doubt: Sequence[Start] = (),
        on_step: Callable[[], None] | None = None,
        fence_check_s: float = FENCE_CHECK_S,
        postponed_for: str = "",
        asked: Sequence[Approval] = (),
        definition: Callable[[str], str] = lambda _: "",
        on_decision: Callable[[Approval], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._run = run
        self._steps = {StepKey(step.turn, step.position): step for step in steps}
        self._begun: dict[StepKey, float] = {}
        """When the calls in progress have begun, by the monotonic clock."""
        self._starts = {StepKey(start.turn, start.position): start for start in in_doubt}
        self.settled = asyncio.Event()
        """Set while no call that must not be made twice is in progress."""
        self.settled.set()
        self._on_step = on_step
        self._fence_check_s = fence_check_s
        self.at_end: tuple[Step, ...] = ()
        """The step to be committed with the run's end, if there is one."""
        self._fenced_at = time.monotonic()
        self._failures = run.failures
        self._asked = {it.approval_id: it for it in asked}
        self._definition = definition
        self._on_decision = on_decision
        self.cause = Cause(run.failures if postponed_for else 0, postponed_for)

    @property
    def failures(self) -> int:
        """The number of postponements in a row; a finished step resets it to 0."""
        return self._failures

    @property
    def finished(self) -> int:
        """The number of finished steps."""
        return len(self._steps)

    def recorded(self, key: StepKey, kind: StepKind, name: str) -> str | None:
        step = self._steps.get(key)
        if step is None:
            return None
        check_step(key, (step.kind, step.name), (kind, name[:NAME_CHARS]))
        return step.output

    def record_at_end(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        self._steps[key] = step = self._finished(key, kind, name, output)
        self.at_end = (step,)

    async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        step = self._finished(key, kind, name, output)
        write = self._write(partial(write_step, run=self._run, step=step))
        # Completed even if the run is handed over or cancelled: the step was paid for.
        await run_to_completion(write)
        self._fenced_at = time.monotonic()
        self._steps[key] = step
        self._settle(key)
        self._failures = 0
        self.cause.step_finished()
        if self._on_step:
            self._on_step()

    async def begin(self, key: StepKey) -> None:
        await self._check_fence()
        self._begun[key] = time.monotonic()

    async def begin_again(self) -> None:
        await self._check_fence()
        self._begun = dict.fromkeys(self._begun, time.monotonic())

    async def _check_fence(self) -> None:
        if time.monotonic() - self._fenced_at < self._fence_check_s:
            return
        await self._write(partial(lock, run=self._run))
        self._fenced_at = time.monotonic()

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        start = self._starts[key] = Start(key.turn, key.index, name[:NAME_CHARS], arguments)
        self.settled.clear()
        writing = asyncio.create_task(self._write(partial(write_start, run=self._run, start=start)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.gather(writing, return_exceptions=True)
            with suppress(HutchError):  # if the start stays recorded, the call is only in doubt
                await self._write(partial(drop_start, run=self._run, start=start))
                self._settle(key)
            raise
        except HutchError:
            self._settle(key)
            raise
        self._fenced_at = self._begun[key] = time.monotonic()

    def decision(self, request: ApprovalRequest) -> ApprovalDecision | None:
        definition = self._definition(request.name)
        asked = self._asked.get(request_id(self._run, request, definition))
        if asked is None or asked.state not in DECISIONS:
            return None
        asked = max((asked, *self._denials(asked)), key=lambda it: it.decided_at or 0.0)
        self._on_decision(asked)
        return ApprovalDecision(asked.state, asked.note or "")

    def _denials(self, asked: Approval) -> Iterator[Approval]:
        """The denials of the same call, under other definitions too: while one was asked for, a
        replica can still have had another."""
        call = asked.epoch, asked.turn, asked.position, asked.hash
        for it in self._asked.values():
            if (it.epoch, it.turn, it.position, it.hash) == call and it.state in DENIALS:
                yield it

    def call_in_doubt(self) -> ToolInDoubt | None:
        if not self._starts:
            return None
        start = self._starts[min(self._starts)]
        return ToolInDoubt(start.name, start.arguments[:MOST_SHOWN_CHARS])

    def usage(self) -> Usage:
        """The usage of the finished steps, for a run that ends without an outcome of its loop.

        A step that can't be read is logged and not counted.
        """
        return sum((_usage(step) for step in self._steps.values()), Usage())

    def _finished(self, key: StepKey, kind: StepKind, name: str, output: str) -> Step:
        began = self._begun.pop(key, None)
        seconds = None if began is None else time.monotonic() - began
        return Step(key.turn, key.index, kind, name[:NAME_CHARS], output, seconds)

    async def _write(self, operation: Operation[None]) -> None:
        await self._store.write(self._run.run_id, operation)

    def _settle(self, key: StepKey) -> None:
        self._starts.pop(key, None)
        if not self._starts:
            self.settled.set()
