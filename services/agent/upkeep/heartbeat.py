"""The heartbeat of this process, and its poll for dead replicas, due runs and commands.

A replica is dead when this process itself has seen its heartbeat count unchanged for
`DEAD_AFTER_S`. After a poll that is late, because this process was suspended or the store was
unavailable, the observation begins again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import structlog

from services.agent.instance import Instance
from services.agent.runs.admission import Admission
from services.agent.upkeep.commands import Commands
from services.agent.upkeep.takeover import Takeover
from shared.concurrency.fault_boundary import contained
from shared.concurrency.first import first_of
from shared.store.processes import heartbeats
from shared.store.processes.heartbeats import Watch
from shared.store.queries.poll import Counts, Poll, poll, record_and_poll

log = structlog.get_logger()

HEARTBEAT_S = 1.0
POLL_S = 0.5
"""Between two polls, varied by up to a fifth, so that replicas do not poll in step. A pause takes
effect within a second."""


@dataclass
class Heartbeat:
    """Records heartbeats and polls, in one job: a process that can't write its heartbeat to the
    store polls nothing either."""

    instance: Instance
    admission: Admission
    takeover: Takeover
    commands: Commands
    poll_s: float = POLL_S
    _watch: Watch = field(default_factory=Watch)
    _recorded_at: float = float("-inf")

    async def serve(self) -> None:
        """Record heartbeats and poll, until cancelled.

        The next poll is after `poll_s`, or at once if a cancel arrives as a message, or if a run
        may be due and a slot is free for it. A failure is logged, and the next round tries again.
        """
        while True:
            self.admission.begin_poll()
            self.commands.arrived.clear()
            await contained(self._poll, "poll failed")
            await first_of(
                self.commands.arrived.wait(),
                self.admission.wants_due.wait(),
                timeout_s=self.poll_s * random.uniform(0.8, 1.2),
            )

    async def _poll(self) -> None:
        found = await self._recorded() or await self._found()
        dead = self._watch.silent(found.heartbeats, time.monotonic()) - {self.instance.id}
        if dead:  # a poll counts what dead replicas have left only if it names them
            found = await self._found(dead)
        self._report(found.counts)
        # If one part fails, because of a row that can't be read, the others are still done.
        await contained(partial(self.commands.obey, found.commands), "commands not obeyed")
        await self.takeover.take(dead, found.counts)
        for name in dead:
            await self.instance.store.write("", partial(heartbeats.remove_dead, instance=name))

    async def _recorded(self) -> Poll | None:
        """Record a heartbeat if it is time for one, and poll in the same commit.

        Returns None if this poll is still to be done.
        """
        if time.monotonic() - self._recorded_at < HEARTBEAT_S:
            return None
        me, found = self.instance, None
        try:
            found = await me.store.write(
                "", partial(record_and_poll, agent=me.agent, instance=me.id)
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the heartbeats go on
            log.warning("poll failed together with a heartbeat", error=str(error))
            await me.store.write("", partial(heartbeats.record, instance=me.id, agent=me.agent))
        self._recorded_at = time.monotonic()
        return found

    async def _found(self, dead: Collection[str] = ()) -> Poll:
        me = self.instance
        return await me.store.read(partial(poll, agent=me.agent, instance=me.id, dead=dead))

    def _report(self, counts: Counts) -> None:
        metrics = self.instance.metrics
        metrics.runs.labels("due").set(counts.due)
        metrics.runs.labels("delayed").set(counts.delayed)
        metrics.oldest_due_age.set(counts.oldest_due_s)
        metrics.run_deaths.set(counts.most_deaths)
        metrics.outbox_oldest_age.set(counts.oldest_unsent_s)
        metrics.dead_letters_kept.set(counts.dead_letters_kept)
        metrics.approvals_pending.set(counts.approvals_pending)
