"""The loop's journal over the store: the same contract as the in-memory one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import structlog
from pydantic import BaseModel, ValidationError

from services.agent.loop.journal import Kind, StepKey, check_step
from shared.concurrency.retry import to_its_end
from shared.contract.messages import Usage, first_fault
from shared.errors import HutchError, ToolInDoubt
from shared.store import Store
from shared.store.database.writer import Operation
from shared.store.runs.run import Run, lock
from shared.store.runs.steps import Step, write_step
from shared.store.runs.tool_starts import Start, drop_start, write_start

HOLD_S = 1.0
"""A fenced write this recent needs no second look: a take-over waits for 3 s of silence."""

NAME_CHARS = 200
"""What the store keeps of a step's name; a model can invent longer ones."""

MOST_SHOWN_CHARS = 300
"""Of a doubtful call's arguments in a reason; `hutch show` has them whole."""


log = structlog.get_logger()


class _Spent(BaseModel):
    """Of a step's output."""

    usage: Usage | None = None


def _spent(step: Step) -> Usage:
    try:
        return _Spent.model_validate_json(step.output).usage or Usage()
    except ValidationError as error:
        reason = first_fault(error)
        log.warning("damaged step not counted", turn=step.turn, step=step.position, reason=reason)
        return Usage()


def _unheard() -> None:
    """For those who needn't know."""


class StoredJournal:
    """One run's steps, as the instance that owns it sees them; `on_step` hears of each new one."""

    def __init__(
        self,
        store: Store,
        run: Run,
        steps: Sequence[Step] = (),
        doubtful: Sequence[Start] = (),
        on_step: Callable[[], None] = _unheard,
    ) -> None:
        self._store = store
        self._run = run
        self._steps = {StepKey(step.turn, step.position): step for step in steps}
        self._starts = {StepKey(start.turn, start.position): start for start in doubtful}
        self.settled = asyncio.Event()
        """Set while no call is under way that must not be made twice."""
        self.settled.set()
        self._on_step = on_step
        self.last: tuple[Step, ...] = ()
        """What is to be committed with the run's end."""
        self._held_at = time.monotonic()
        self._failures = run.failures

    @property
    def failures(self) -> int:
        """How often in a row the run has been put off: none, once a step has finished."""
        return self._failures

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        step = self._steps.get(key)
        if step is None:
            return None
        check_step(key, (step.kind, step.name), (kind, name[:NAME_CHARS]))
        return step.output

    def leave(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        self._steps[key] = step = Step(key.turn, key.index, kind, name[:NAME_CHARS], output)
        self.last = (step,)

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        step = Step(key.turn, key.index, kind, name[:NAME_CHARS], output)
        write = self._write(partial(write_step, run=self._run, step=step))
        # What has finished is paid: its commit goes on when the run is handed over or cancelled.
        await to_its_end(write)
        self._held_at = time.monotonic()
        self._steps[key] = step
        self._settle(key)
        self._failures = 0
        self._on_step()

    async def hold(self) -> None:
        if time.monotonic() - self._held_at < HOLD_S:
            return
        await self._write(partial(lock, run=self._run))
        self._held_at = time.monotonic()

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        start = self._starts[key] = Start(key.turn, key.index, name[:NAME_CHARS], arguments)
        self.settled.clear()
        writing = asyncio.create_task(self._write(partial(write_start, run=self._run, start=start)))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.gather(writing, return_exceptions=True)
            with suppress(HutchError):  # still there, it is a doubt too many: never one too few
                await self._write(partial(drop_start, run=self._run, start=start))
                self._settle(key)
            raise
        except HutchError:
            self._settle(key)
            raise
        self._held_at = time.monotonic()

    def doubt(self) -> ToolInDoubt | None:
        if not self._starts:
            return None
        start = self._starts[min(self._starts)]
        return ToolInDoubt(start.name, start.arguments[:MOST_SHOWN_CHARS])

    def usage(self) -> Usage:
        """What the finished steps have cost, for a run that ends before its loop could say.

        A step that can't be read counts for nothing, and is logged.
        """
        return sum((_spent(step) for step in self._steps.values()), Usage())

    async def _write(self, operation: Operation[None]) -> None:
        await self._store.write(self._run.run_id, operation)

    def _settle(self, key: StepKey) -> None:
        self._starts.pop(key, None)
        if not self._starts:
            self.settled.set()
