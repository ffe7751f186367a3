"""The open runs of this process: each is a job, from its claim or take-over to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from services.agent.runs.admission import Slot
from services.agent.runs.execution import Execution
from shared.process.runtime import STOP_S
from shared.store.runs.run import Run

LAST_CALLS_S = STOP_S * 0.4
"""Of what a stop may take: half is for the responses on their way."""


@dataclass
class Runs:
    execution: Execution
    jobs: asyncio.TaskGroup
    _open: dict[asyncio.Task[None], Run] = field(default_factory=dict)
    _newest: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """The job of each run. One that was taken back from ourselves has two for a moment."""
    _closed: bool = False

    @property
    def open(self) -> int:
        """Jobs that have not ended: each has a slot."""
        return len(self._open)

    @property
    def held(self) -> Collection[str]:
        """The ids of the runs that have a job here."""
        return tuple(self._newest)

    def holds(self, run_id: str) -> bool:
        return run_id in self._newest

    def start(self, run: Run, slot: Slot) -> None:
        """Begin or go on with a claimed run. From here on the slot is released with the end of its
        job, also when that is cancelled before its first step."""
        if self._closed:  # its claim was under way when the others were handed over
            slot.release()
            self.jobs.create_task(self.execution.hand_over(run))
            return
        if before := self._newest.pop(run.run_id, None):  # taken back from ourselves
            before.cancel()
        job = self._newest[run.run_id] = self.jobs.create_task(self.execution.execute(run, slot))
        self._open[job] = run
        job.add_done_callback(lambda job: self._over(job, slot))

    async def hand_over(self) -> None:
        """Stop every open run, and each that is still claimed; any replica goes on with them."""
        self._closed = True
        await asyncio.sleep(0)  # until every job has begun: cancelled before, it hands nothing over
        acting = {job: self.execution.unsafe_calls_ended(run) for job, run in self._open.items()}
        for job, ended in acting.items():
            if ended is None:
                job.cancel()
        await asyncio.gather(*(self._let_go(*it) for it in acting.items()))

    async def _let_go(self, job: asyncio.Task[None], ended: asyncio.Event | None) -> None:
        """A tool that must not run twice may finish, so that nobody is left in doubt of it."""
        if ended is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_CALLS_S):
                    await ended.wait()
            job.cancel()
        await asyncio.gather(job, return_exceptions=True)

    def _over(self, job: asyncio.Task[None], slot: Slot) -> None:
        slot.release()
        run = self._open.pop(job)
        if self._newest.get(run.run_id) is job:
            del self._newest[run.run_id]
