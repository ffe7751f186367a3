"""The open runs of this process: each is one job, from its claim or takeover to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field

from services.agent.runs.admission import Admission, Slot
from services.agent.runs.execution import Execution
from shared.process.runtime import STOP_S
from shared.store.runs.run import Run

LAST_CALLS_S = STOP_S * 0.4
"""The part of a stop in which tool calls in progress may finish; half is for sending responses."""


@dataclass
class OpenRuns:
    execution: Execution
    admission: Admission
    jobs: asyncio.TaskGroup
    _open: dict[asyncio.Task[None], Run] = field(default_factory=dict)
    _newest: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    """The job of each run. A run that this process took over from itself has two for a moment."""
    _closed: bool = False

    @property
    def open(self) -> int:
        """The number of jobs that have not ended: each has a slot."""
        return len(self._open)

    @property
    def held(self) -> Collection[str]:
        """The ids of the runs that have a job here."""
        return tuple(self._newest)

    def holds(self, run_id: str) -> bool:
        return run_id in self._newest

    def start(self, run: Run, slot: Slot) -> None:
        """Execute a claimed run in a job of its own.

        The slot is released when the job ends, even if it is cancelled before its first step.
        """
        if self._closed:  # its claim was in progress while the other runs were handed over
            slot.release()
            self.jobs.create_task(self.execution.hand_over(run))
            return
        if before := self._newest.pop(run.run_id, None):  # this process took it over from itself
            before.cancel()
        job = self._newest[run.run_id] = self.jobs.create_task(self.execution.execute(run, slot))
        self._open[job] = run
        job.add_done_callback(lambda job: self._ended(job, slot))

    async def hand_over(self) -> None:
        """Stop all open runs, and those that are still started; any replica goes on with them.

        A call in progress that must not be made twice gets `LAST_CALLS_S` to finish.
        """
        self._closed = True
        await asyncio.sleep(0)  # a job that is cancelled before it begins hands nothing over
        acting = {job: self.execution.unsafe_calls_ended(run) for job, run in self._open.items()}
        for job, ended in acting.items():
            if ended is None:
                job.cancel()
        await asyncio.gather(*(self._stop(*it) for it in acting.items()))

    async def _stop(self, job: asyncio.Task[None], ended: asyncio.Event | None) -> None:
        if ended is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_CALLS_S):
                    await ended.wait()
            job.cancel()
        await asyncio.gather(job, return_exceptions=True)

    def _ended(self, job: asyncio.Task[None], slot: Slot) -> None:
        slot.release()
        run = self._open.pop(job)
        if self._newest.get(run.run_id) is job:
            del self._newest[run.run_id]
        if run.session is not None:  # the next run of its session may be due now
            self.admission.note_due(waits=False)
