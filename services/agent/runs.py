"""The open runs of this process: each is a job, from its claim or take-over to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.agent.life import Lives
from services.agent.slots import Slots
from shared.store.runs import Run


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
        jobs = list(self._open.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _hold(self, run: Run) -> None:
        try:
            await self.lives.live(run)
        finally:
            if self._open.get(run.run_id) is asyncio.current_task():
                del self._open[run.run_id]
