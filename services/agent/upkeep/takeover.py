"""Takeover: this process takes due runs, and the runs and messages of dead replicas."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import structlog

from services.agent.delivery.outbox import Outbox
from services.agent.instance import Instance
from services.agent.runs.admission import Admission, Slot
from services.agent.runs.open_runs import OpenRuns
from shared.concurrency.fault_boundary import contained
from shared.store.messages.outbox import adopt
from shared.store.queries.poll import Counts
from shared.store.runs.run import Run
from shared.store.runs.takeover import take

log = structlog.get_logger()


@dataclass
class Takeover:
    instance: Instance
    admission: Admission
    runs: OpenRuns
    outbox: Outbox

    async def take(self, dead: set[str], found: Counts) -> None:
        """Take the messages and runs that a poll has found; runs only while slots are free.

        Each part is tried separately: if one fails, that is logged and left to the next poll.
        """
        if found.abandoned_messages:
            await contained(partial(self._adopt, dead), "messages not adopted")
        suspect = partial(self._take_suspect, dead, found.suspects)
        await contained(suspect, "suspect not taken")
        await contained(partial(self._take_due, dead, found), "due runs not taken")

    async def _take_suspect(self, dead: set[str], waiting: int) -> None:
        """Take one suspect, to compute alone here. If the process then dies, the cause is known:
        with several runs computing, it could be any of them."""
        self.admission.expect_suspect(waiting > 0)
        slot = self.admission.try_take_alone() if waiting else None
        if slot is None:
            return
        try:
            await self._start(dead, [slot], suspects=True)
        except BaseException:
            self.admission.expect_suspect(False)  # other runs don't wait for a suspect not taken
            raise

    async def _take_due(self, dead: set[str], found: Counts) -> None:
        slots: list[Slot] = []
        while len(slots) < found.takeable and (slot := self.admission.try_take()):
            slots.append(slot)
        more = False  # if taking fails, new deliveries don't wait for these runs
        try:
            taken = await self._start(dead, slots) if slots else 0
            more = taken == len(slots) < found.before_deliveries  # the next free slots are theirs
        finally:
            self.admission.end_poll(waits=more)

    async def _start(self, dead: set[str], slots: list[Slot], *, suspects: bool = False) -> int:
        """Take and start up to one run for each slot; releases the other slots.

        Returns the number of runs.
        """
        spare = list(slots)
        try:
            taken = await self._taken(dead, len(slots), suspects=suspects)
            for run in taken:
                self.runs.start(run, spare.pop())
            return len(taken)
        finally:
            for slot in spare:
                slot.release()

    async def _taken(self, dead: set[str], wanted: int, *, suspects: bool) -> list[Run]:
        me, earlier = self.instance, dict[str, bool]()
        taken = await me.store.write(
            "", lambda db: take(db, me.agent, me.id, dead, wanted, earlier, suspects=suspects)
        )
        for run in taken:
            if earlier[run.run_id]:
                me.metrics.takeovers.inc()
                log.info("run taken over", run=run.run_id, attempts=run.attempts, alone=suspects)
            me.announce("run.taken", run, attempts=run.attempts)
        return taken

    async def _adopt(self, dead: set[str]) -> None:
        """Send the outbox messages of dead replicas."""
        me, earlier = self.instance, set[int]()
        self.outbox.send(
            await me.store.write("", lambda db: adopt(db, me.agent, me.id, dead, earlier))
        )
