"""The processes that live: those whose heartbeat counts change."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.store import Store
from shared.store.processes.heartbeats import DEAD_AFTER_S
from shared.store.queries.reports import Heartbeat, heartbeats

POLL_S = 0.2


@dataclass
class _Seen:
    agent: str
    count: int
    since: float
    """When this count was first seen, by the monotonic clock."""
    alive: bool | None = None
    """None until its count has changed, or has stood still for `DEAD_AFTER_S`."""


@dataclass
class LivingProcesses:
    """Knows what it has read before, so that repeated questions need one read each."""

    store: Store
    _seen: dict[str, _Seen] = field(default_factory=dict)

    async def read(self) -> dict[str, str]:
        """The agent of each living process, by its instance.

        Takes up to `DEAD_AFTER_S` if a process is new to this object and dead.
        """
        while self._unknown(await self.store.read(heartbeats)):  # noqa: ASYNC110 - a count sets no event
            await asyncio.sleep(POLL_S)
        return {instance: it.agent for instance, it in self._seen.items() if it.alive}

    async def count(self) -> Counter[str]:
        """The number of living processes by agent."""
        return Counter((await self.read()).values())

    def _unknown(self, found: Sequence[Heartbeat]) -> bool:
        """Whether a process may be alive or dead, as far as these and earlier counts show."""
        now = time.monotonic()
        known, self._seen = self._seen, {}
        for it in found:
            seen = known.get(it.instance)
            if seen is None:
                seen = _Seen(it.agent, it.count, now)
            elif seen.count != it.count:
                seen = _Seen(it.agent, it.count, now, alive=True)
            elif now - seen.since >= DEAD_AFTER_S:
                seen.alive = False
            self._seen[it.instance] = seen
        return any(it.alive is None for it in self._seen.values())
