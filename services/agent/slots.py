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

    A suspect takes its slot alone. While one waits for that (`clear`), no run begins or goes on,
    until none computes; then it is the only one, until it waits, ends, or gets on (`share`).
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._computing = 0
        self._open = 0
        self._closed = False
        self._alone = False
        self._clearing = False
        self._braked = False
        self._woken: deque[asyncio.Future[None]] = deque()
        self.vacant = asyncio.Event()
        self.full = asyncio.Event()
        self.idle = asyncio.Event()
        self._tell()

    @property
    def free(self) -> int:
        """New runs that could start now."""
        if self._closed or self._braked:
            return 0
        return max(0, min(self._most - self._computing, OPEN_RUNS - self._open))

    @property
    def _most(self) -> int:
        """Runs that may compute at once now."""
        if self._alone:
            return 1
        return 0 if self._clearing and not self._closed else self._concurrency

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
        self._admit()
        self._tell()

    def brake(self, on: bool) -> None:
        """No new runs while it is on; those that are open keep their slots."""
        self._braked = on
        self._tell()

    def take_beyond(self) -> None:
        """A slot over the limit, for a run that only has to end."""
        self._open += 1
        self._computing += 1
        self._tell()

    def try_take(self) -> bool:
        """A slot for a new run, if there is one."""
        if not self.free:
            return False
        self.take_beyond()
        return True

    def try_take_alone(self) -> bool:
        """A slot for a suspect, if nothing else computes."""
        if self._closed or self._braked or self._computing or self._open >= OPEN_RUNS:
            return False
        self._alone = True
        self.take_beyond()
        return True

    def clear(self, wanted: bool) -> None:
        """Whether a suspect waits until nothing computes."""
        if wanted != self._clearing:
            self._clearing = wanted
            self._admit()
            self._tell()

    def share(self) -> None:
        """Said by a run that has got on: if it was alone, it needn't be any more."""
        if self._alone:
            self._alone = False
            self._admit()
            self._tell()

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
        if self._computing < self._most:
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
        self._computing -= 1
        if not self._computing:  # a run that only had to end may have left before the suspect
            self._alone = False
        self._admit()

    def _admit(self) -> None:
        """Slots change hands here: nobody else sees them free."""
        while self._woken and self._computing < self._most:
            turn = self._woken.popleft()
            if not turn.done():
                self._computing += 1
                turn.set_result(None)

    def _tell(self) -> None:
        now, then = (self.vacant, self.full) if self.free else (self.full, self.vacant)
        now.set()
        then.clear()
        if self._open:
            self.idle.clear()
        else:
            self.idle.set()
