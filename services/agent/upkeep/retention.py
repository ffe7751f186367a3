"""Retention: runs, ticks and commands that ended long ago are deleted."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from services.agent.instance import Instance
from shared.concurrency.fault_boundary import contained
from shared.store.messages import sent
from shared.store.processes import audit, shutdowns
from shared.store.retention import forget_runs, forget_ticks
from shared.store.runs import cancels

log = structlog.get_logger()

EVERY_S = 3600.0
"""Between two rounds, varied by up to a tenth, so that replicas do not delete in step."""

SHARE = 0.05
"""The largest part of the time that is spent on deleting: on a slow store the waits are longer."""


@dataclass
class Retention:
    instance: Instance
    keep: timedelta

    async def serve(self) -> None:
        """Delete, round after round, until cancelled. A round that fails is logged."""
        while True:
            await contained(self.forget, "old runs not deleted")
            await asyncio.sleep(EVERY_S * random.uniform(0.9, 1.1))

    async def forget(self) -> None:
        """Delete the agent's runs, ticks and commands, and all records of sent messages and of
        the gateway's clients, that are older than `keep`, in small commits."""
        agent, keep_s = self.instance.agent, self.keep.total_seconds()
        store, batches, began = self.instance.store, 0, time.monotonic()
        while await store.write("", partial(forget_runs, agent=agent, keep_s=keep_s)):
            batches += 1
            await asyncio.sleep((time.monotonic() - began) / SHARE)
            began = time.monotonic()
        await store.write("", partial(forget_ticks, agent=agent, keep_s=keep_s))
        await store.write("", partial(cancels.remove_old, agent=agent, keep_s=keep_s))
        await store.write("", partial(shutdowns.remove_old, keep_s=keep_s))
        await store.write("", partial(sent.remove_old, keep_s=keep_s))
        await store.write("", partial(audit.remove_old, keep_s=keep_s))
        if batches:
            log.info("old runs deleted", batches=batches)
