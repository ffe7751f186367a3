"""The heartbeat of a scheduler or a gateway, by which 'hutch status' counts those that run.

It decides nothing: unlike an agent's process, they own no runs that another one takes over.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from shared.concurrency.fault_boundary import contained
from shared.store import Store
from shared.store.processes import heartbeats
from shared.store.processes.heartbeats import DEAD_AFTER_S
from shared.store.queries import reports

HEARTBEAT_S = 1.0
END_S = 2.0
GONE_S = 10 * DEAD_AFTER_S
"""A process that has been silent for so long is removed; if it was only frozen, its next heartbeat
adds it again."""


@dataclass
class Heartbeat:
    store: Store
    role: str
    """`topology.SCHEDULER` or `topology.GATEWAY`."""
    instance: str
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    """For each process of this role, its count and when this process has first seen it."""

    async def serve(self) -> None:
        """Record heartbeats until cancelled, and remove processes of this role that were killed."""
        while True:
            await contained(self._record, "heartbeat failed")
            await asyncio.sleep(HEARTBEAT_S)

    async def end(self) -> None:
        """Remove this process, which exits; a store that is unavailable does not delay the exit."""
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self.store.write("", partial(heartbeats.remove, instance=self.instance))

    async def _record(self) -> None:
        record = partial(heartbeats.record, instance=self.instance, agent=self.role)
        await self.store.write("", record)
        for gone in self._gone(await self.store.read(reports.heartbeats)):
            await self.store.write("", partial(heartbeats.remove_dead, instance=gone))

    def _gone(self, found: list[reports.Heartbeat]) -> list[str]:
        now = time.monotonic()
        counts = {it.instance: it.count for it in found if it.agent == self.role}
        seen = {
            instance: self._seen[instance]
            if self._seen.get(instance, (None,))[0] == count
            else (count, now)
            for instance, count in counts.items()
        }
        self._seen = seen
        return [instance for instance, (_, since) in seen.items() if now - since > GONE_S]
