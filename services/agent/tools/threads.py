"""The threads of a process's tools: bounded, and counted while one runs on after its call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from shared.concurrency.threads import start_thread
from shared.errors import ToolError

R = TypeVar("R")

MOST_THREADS = 64
"""The default eight runs with eight calls each. More threads only take turns at Python's lock, and
each one that never returns keeps its stack until the process ends."""


class ToolThreads:
    """Threads for users' functions. A function can't be stopped: if its call ends before it does,
    it is abandoned, and keeps its thread until it returns."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._running: set[asyncio.Future[Any]] = set()
        self._abandoned: set[asyncio.Future[Any]] = set()

    @property
    def running(self) -> int:
        """The threads whose call waits for them."""
        return len(self._running) - self.abandoned

    @property
    def abandoned(self) -> int:
        return len(self._abandoned)

    async def start(self, function: Callable[[], R]) -> asyncio.Future[R]:
        """Start a function once a thread is free; await the result through `asyncio.shield`.

        Raises `ToolError` if all threads are abandoned.
        """
        if self.abandoned >= self._most:
            raise ToolError(
                f"not called: {self.abandoned} earlier calls of tools have not returned, and no "
                "thread is free"
            )
        await self._free.acquire()
        try:
            job = start_thread(function)
        except RuntimeError:  # the system can start no more threads
            self._free.release()
            raise
        self._running.add(job)
        job.add_done_callback(self._returned)
        return job

    def abandon(self, job: asyncio.Future[R]) -> None:
        """Count a started function that has not returned and that no call waits for."""
        self._abandoned.add(job)

    def _returned(self, job: asyncio.Future[R]) -> None:
        self._running.discard(job)
        self._abandoned.discard(job)
        self._free.release()
        job.exception()  # it was the caller's; an abandoned one's is dropped
