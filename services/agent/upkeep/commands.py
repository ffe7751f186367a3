"""What people have ordered, as the sweeper's polls find it: cancels, pauses, shutdowns.

Messages only make this faster: with every one of them lost, each order is obeyed at a poll.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import structlog

from services.agent.instance import Instance
from services.agent.runs.admission import Slots
from services.agent.runs.cancellation import CancelScopes
from services.agent.runs.open_runs import Runs
from services.agent.runs.pause import Pause
from shared.concurrency.boundary import contained
from shared.contract.messages import run_id
from shared.process.stopping import Stopping
from shared.store.queries.poll import Orders as Found
from shared.store.queries.poll import look
from shared.store.runs import cancels

log = structlog.get_logger()


@dataclass
class Orders:
    instance: Instance
    slots: Slots
    runs: Runs
    pause: Pause
    scopes: CancelScopes
    stopping: Stopping
    jobs: asyncio.TaskGroup

    async def look(self) -> None:
        """Read all orders now, and obey them."""
        me = self.instance
        await self.obey((await me.store.read(partial(look, agent=me.agent, instance=me.id))).orders)

    async def obey(self, found: Found) -> None:
        if found.shutdown and self.stopping.mode not in {found.shutdown, "stop"}:
            log.info("shutdown asked for by a row", mode=found.shutdown)
            self.stopping.ask(found.shutdown)
        self.pause.set(found.paused)
        for cancelled in found.cancelled:
            self.scopes.cancel(cancelled)
        if found.doomed:
            await self._end_doomed()

    def cancel(self, task_id: str) -> None:
        """A cancel by message: kept as a row, then obeyed at the next poll, which it wakes.

        Returns at once. However many come, there is one poll at a time.
        """
        self.jobs.create_task(contained(partial(self._cancel, task_id), "cancel not kept"))

    async def _cancel(self, task_id: str) -> None:
        agent = self.instance.agent
        ask = partial(cancels.ask, agent=agent, task_id=task_id)
        if await self.instance.store.write(run_id(agent, task_id), ask):
            self.instance.ordered.set()

    async def _end_doomed(self) -> None:
        """Those that this process computes end by their own loops, which it has just stopped."""
        me = self.instance
        take = partial(cancels.take_doomed, agent=me.agent, instance=me.id, held=self.runs.held)
        for run in await me.store.write("", take):
            self.runs.start(run, self.slots.take_beyond())
