"""How much one process does at once: slots for runs that compute, a limit for those open."""

from __future__ import annotations

import asyncio
from collections import deque

OPEN_RUNS = 1000
"""Runs that one process holds open, waiting ones included: some 20 kB each."""


class Slots:
    """A run takes a slot to start, gives it back while it only waits, takes it again to go on.

    `vacant` and `full` are opposite events: whether a new run could start now. `idle` is set
    while no run is open, nor about to be.
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._computing = 0
        self._open = 0
        self._closed = False
        self._woken: deque[asyncio.Future[None]] = deque()
        self.vacant = asyncio.Event()
        self.full = asyncio.Event()
        self.idle = asyncio.Event()
        self._tell()

    @property
    def free(self) -> int:
        """New runs that could start now."""
        if self._closed:
            return 0
        return max(0, min(self._concurrency - self._computing, OPEN_RUNS - self._open))

    @property
    def computing(self) -> int:
        return self._computing

    @property
    def waiting(self) -> int:
        return self._open - self._computing

    @property
    def concurrency(self) -> int:
        return self._concurrency

    def close(self) -> None:
        """No new runs from here on; those that are open go on."""
        self._closed = True
        self._tell()

    def try_take(self) -> bool:
        """A slot for a new run, if there is one."""
        if not self.free:
            return False
        self._open += 1
        self._computing += 1
        self._tell()
        return True

    def release(self, *, computing: bool) -> None:
        """A run is over, or not to be started after all."""
        self._open -= 1
        if computing:
            self._leave()
        self._tell()

    def pause(self) -> None:
        """A run only waits from here on."""
        self._leave()
        self._tell()

    async def resume(self) -> None:
        """A slot for a woken run, before any new one."""
        if self._computing < self._concurrency:
            self._computing += 1
            self._tell()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._woken.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
                self._tell()
            raise

    def _leave(self) -> None:
        while self._woken:
            turn = self._woken.popleft()
            if not turn.done():
                turn.set_result(None)  # the slot changes hands: nobody else sees it free
                return
        self._computing -= 1

    def _tell(self) -> None:
        now, then = (self.vacant, self.full) if self.free else (self.full, self.vacant)
        now.set()
        then.clear()
        if self._open:
            self.idle.clear()
        else:
            self.idle.set()
