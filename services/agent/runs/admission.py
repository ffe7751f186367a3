"""How much one process does at once: slots for runs that compute, a limit for those open."""

from __future__ import annotations

import asyncio
from collections import deque

OPEN_RUNS = 1000
"""Runs that one process holds open, waiting ones included: some 20 kB each."""


class Slot:
    """One run's place in its process: it computes from the take on, and while it isn't paused.

    Its taker releases it, whatever becomes of the run. A second release changes nothing,
    nor does anything else after the first.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def release(self) -> None:
        """The run is over, or not to be started after all."""
        self._slots._close(self)

    def pause(self) -> None:
        """The run only waits from here on."""
        self._slots._leave(self)

    async def resume(self) -> None:
        """Returns once the run computes again: before any new one. Cancelled, it still waits."""
        await self._slots._resume(self)

    def share(self) -> None:
        """The run has got on: if it was alone, it needn't be any more."""
        self._slots._share(self)


class Slots:
    """A run takes a slot to start, pauses it while it only waits, resumes it to go on.

    Each slot that was taken and not released is open; an open one computes or waits. `vacant` and
    `full` are opposite events: whether a new run could start now. `idle` is set while no slot is
    open.

    A suspect takes its slot alone. While one waits for that (`clear`), no run begins or goes on,
    until none computes; then it is the only one, until it waits, ends, or gets on (`share`).
    """

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._open: set[Slot] = set()
        self._computing: set[Slot] = set()
        self._alone: Slot | None = None
        self._closed = False
        self._clearing = False
        self._braked = False
        self._woken: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self.vacant = asyncio.Event()
        self.full = asyncio.Event()
        self.idle = asyncio.Event()
        self._tell()

    @property
    def free(self) -> int:
        """New runs that could start now."""
        if self._closed or self._braked:
            return 0
        return max(0, min(self._most - self.computing, OPEN_RUNS - self.taken))

    @property
    def _most(self) -> int:
        """Runs that may compute at once now."""
        if self._alone:
            return 1
        return 0 if self._clearing and not self._closed else self._concurrency

    @property
    def taken(self) -> int:
        """Open slots: with no claim under way, as many as this process has open runs."""
        return len(self._open)

    @property
    def computing(self) -> int:
        return len(self._computing)

    @property
    def waiting(self) -> int:
        return self.taken - self.computing

    @property
    def concurrency(self) -> int:
        return self._concurrency

    def close(self) -> None:
        """No new runs from here on; those that are open go on."""
        self._closed = True
        self._tell()

    def brake(self, on: bool) -> None:
        """No new runs while it is on; those that are open keep their slots."""
        self._braked = on
        self._tell()

    def take_beyond(self) -> Slot:
        """A slot over the limit, for a run that only has to end."""
        slot = Slot(self)
        self._open.add(slot)
        self._computing.add(slot)
        self._tell()
        return slot

    def try_take(self) -> Slot | None:
        """A slot for a new run, if there is one."""
        return self.take_beyond() if self.free else None

    def try_take_alone(self) -> Slot | None:
        """A slot for a suspect, if nothing else computes."""
        if self._closed or self._braked or self._computing or self.taken >= OPEN_RUNS:
            return None
        self._alone = self.take_beyond()
        self._tell()
        return self._alone

    def clear(self, wanted: bool) -> None:
        """Whether a suspect waits until nothing computes."""
        self._clearing = wanted
        self._tell()

    def _share(self, slot: Slot) -> None:
        if self._alone is slot:
            self._alone = None
            self._tell()

    def _leave(self, slot: Slot) -> None:
        self._computing.discard(slot)
        if self._alone is slot:
            self._alone = None
        self._tell()

    def _close(self, slot: Slot) -> None:
        self._open.discard(slot)
        self._leave(slot)

    async def _resume(self, slot: Slot) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._woken.append((slot, turn))
        self._tell()
        try:
            await turn
        except asyncio.CancelledError:
            self._leave(slot)  # its turn may have come at the same moment
            raise

    def _tell(self) -> None:
        """Slots change hands here: nobody else sees them free."""
        while self._woken and self.computing < self._most:
            slot, turn = self._woken.popleft()
            if not turn.done():
                self._computing |= {slot} & self._open
                turn.set_result(None)
        now, then = (self.vacant, self.full) if self.free else (self.full, self.vacant)
        now.set()
        then.clear()
        if self._open:
            self.idle.clear()
        else:
            self.idle.set()
