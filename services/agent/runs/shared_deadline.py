"""Workers end at the deadline of whom they work for: their `timeout` is then that one's, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from services.agent.loop.journal import StepKey
from services.agent.loop.loop import Workers
from shared.contract.messages import Budget, Response, Status

SAME_S = 1.0
"""A worker that is late this close to the run's own deadline has met the same one: its process
keeps it by a clock of its own, and may be some milliseconds earlier."""


@dataclass
class SharedDeadline:
    """See `loop.Workers`. No model is asked what to do about the run's own end."""

    workers: Workers
    left_s: Callable[[], float]

    async def ask(
        self, key: StepKey, worker: str, prompt: str, context: str | None, budget: Budget
    ) -> Response:
        response = await self.workers.ask(key, worker, prompt, context, budget)
        if response.status is Status.TIMEOUT and self.left_s() < SAME_S:
            await asyncio.get_running_loop().create_future()  # until that deadline ends this run
        return response

    def waiting(self) -> AbstractAsyncContextManager[None]:
        return self.workers.waiting()
