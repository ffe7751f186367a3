"""Forgetting what has ended long ago."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from services.agent.instance import Instance
from shared.concurrency.boundary import contained
from shared.store.processes import shutdowns
from shared.store.retention import forget_runs, forget_ticks
from shared.store.runs import cancels

log = structlog.get_logger()

EVERY_S = 3600.0
"""Between two rounds, give or take a tenth: replicas should not forget in step."""

SHARE = 0.05
"""Of the time, at most, is spent on forgetting: on a store that is busy or slow it waits longer."""


@dataclass
class Retention:
    instance: Instance
    keep: timedelta

    async def serve(self) -> None:
        """Forget, round after round, until cancelled; what fails is left to the next round."""
        while True:
            await contained(self.forget, "old runs not forgotten")
            await asyncio.sleep(EVERY_S * random.uniform(0.9, 1.1))

    async def forget(self) -> None:
        """Delete, in small commits, what of the agent is older than `keep`: runs, ticks, orders."""
        agent, keep_s = self.instance.agent, self.keep.total_seconds()
        store, batches, began = self.instance.store, 0, time.monotonic()
        while await store.write("", partial(forget_runs, agent=agent, keep_s=keep_s)):
            batches += 1
            await asyncio.sleep((time.monotonic() - began) / SHARE)
            began = time.monotonic()
        await store.write("", partial(forget_ticks, agent=agent, keep_s=keep_s))
        await store.write("", partial(cancels.remove_old, agent=agent, keep_s=keep_s))
        await store.write("", partial(shutdowns.remove_old, keep_s=keep_s))
        if batches:
            log.info("old runs forgotten", batches=batches)
