"""The open runs of this process: each is a job, from its claim or take-over to its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from services.agent.life import Lives
from services.agent.slots import Slots
from shared.process import STOP_S
from shared.store.runs import Run

LAST_CALLS_S = STOP_S * 0.4
"""Of what a stop may take: half is for the responses on their way."""


@dataclass
class Runs:
    lives: Lives
    slots: Slots
    jobs: asyncio.TaskGroup
    _open: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _closed: bool = False

    def start(self, run: Run) -> None:
        """Begin or go on with a claimed run; the caller has taken its slot."""
        if self._closed:  # its claim was under way when the others were handed over
            self.slots.release(computing=True)
            self.jobs.create_task(self.lives.give_back(run))
            return
        if run.run_id in self._open:  # taken back from ourselves: the old job finds its fence old
            self._open.pop(run.run_id).cancel()
        self._open[run.run_id] = self.jobs.create_task(self._hold(run))

    def holds(self, run_id: str) -> bool:
        return run_id in self._open

    async def hand_over(self) -> None:
        """Stop every open run, and each that is still claimed; any replica goes on with them."""
        self._closed = True
        acting = {job: self.lives.acting(run_id) for run_id, job in self._open.items()}
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

    async def _hold(self, run: Run) -> None:
        try:
            await self.lives.live(run)
        finally:
            if self._open.get(run.run_id) is asyncio.current_task():
                del self._open[run.run_id]
