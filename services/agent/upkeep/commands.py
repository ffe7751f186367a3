"""Commands: the cancels, pauses and shutdowns that a poll finds in the store, and what has expired.

Control messages only make this faster: if they are lost, the next poll finds the commands anyway.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

import structlog

from services.agent.instance import Instance
from services.agent.runs.admission import Admission
from services.agent.runs.cancellation import CancelScopes
from services.agent.runs.models.pause import Pause
from services.agent.runs.open_runs import OpenRuns
from shared.concurrency.fault_boundary import contained
from shared.contract.messages import run_id
from shared.process.stopping import Stopping
from shared.store.queries.poll import Commands as Found
from shared.store.queries.poll import poll
from shared.store.runs import approvals, cancels

log = structlog.get_logger()


@dataclass
class Commands:
    instance: Instance
    admission: Admission
    runs: OpenRuns
    pause: Pause
    scopes: CancelScopes
    stopping: Stopping
    jobs: asyncio.TaskGroup
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a cancel was received as a message: the next poll should be at once."""

    async def poll(self) -> None:
        """Read all commands now, and obey them."""
        me = self.instance
        await self.obey(
            (await me.store.read(partial(poll, agent=me.agent, instance=me.id))).commands
        )

    async def obey(self, found: Found) -> None:
        if found.shutdown and self.stopping.mode not in {found.shutdown, "stop"}:
            log.info("shutdown found in the store", mode=found.shutdown)
            self.stopping.ask(found.shutdown)
        self.pause.set(found.paused)
        for cancelled in found.cancelled:
            self.scopes.cancel(cancelled)
        if found.endable:
            await self._end_endable()
        if found.expired:
            expire = partial(approvals.expire, agent=self.instance.agent)
            log.info("approvals expired", number=await self.instance.store.write("", expire))

    def cancel(self, task_id: str) -> None:
        """Store a cancel that was received as a message, and wake the poll, which obeys it.

        Returns at once. Any number of cancels cause one poll at a time.
        """
        self.jobs.create_task(contained(partial(self._cancel, task_id), "cancel not stored"))

    async def _cancel(self, task_id: str) -> None:
        agent = self.instance.agent
        ask = partial(cancels.request, agent=agent, task_id=task_id)
        if await self.instance.store.write(run_id(agent, task_id), ask):
            self.arrived.set()

    async def _end_endable(self) -> None:
        """Take and end the runs that are cancelled or past their deadline, even without free slots.

        Those that this process computes end by themselves, since their loops were stopped.
        """
        me = self.instance
        take = partial(cancels.take_endable, agent=me.agent, instance=me.id, held=self.runs.held)
        for run in await me.store.write("", take):
            self.runs.start(run, self.admission.take_beyond())
