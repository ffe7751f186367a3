"""Admission: whether a run may start, or go on, in this process."""

from __future__ import annotations

import asyncio
from collections import deque

OPEN_RUNS = 1000
"""The most open runs in one process, waiting ones included: each takes about 20 kB of memory."""


class Slot:
    """Permission for one open run to compute, from the moment the slot is taken, except while the
    slot is paused.

    The caller that takes a slot must release it, however the run ends. After the first release,
    all methods do nothing.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission

    def release(self) -> None:
        """The run has ended here, or will not start."""
        self._admission._release(self)

    def pause(self) -> None:
        """Give the place back to other runs while this one waits for its workers."""
        self._admission._pause(self)

    async def resume(self) -> None:
        """Wait until the run may compute again; it goes before all new runs.

        If this is cancelled, the slot stays paused.
        """
        await self._admission._resume(self)

    def share(self) -> None:
        """A step of the run has finished. If the run is a suspect, its isolation ends."""
        self._admission._share(self)


class Admission:
    """Decides what may start in this process; the mailbox, the takeover and the commands ask it.

    A slot is open from when it is taken until it is released. An open slot computes or waits. A
    slot is free while fewer than `concurrency` runs compute and fewer than `open_runs` are open.

    | state                    | new deliveries | due runs  | a suspect           | resumed runs |
    |--------------------------|----------------|-----------|---------------------|--------------|
    | caught up (at first)     | free slot      | free slot | if nothing computes | free slot    |
    | a due run waits          | no             | free slot | if nothing computes | free slot    |
    | a suspect waits          | no             | no        | if nothing computes | no           |
    | a suspect computes alone | no             | no        | no                  | no           |
    | paused                   | no             | no        | no                  | free slot    |
    | closed                   | no             | no        | no                  | free slot    |

    Several of these states can hold at once; the strictest then decides, except that a closed
    process waits for no suspect. Resumed runs get a free slot before new ones. A run that is only
    to be ended gets a slot in every state (`take_beyond`).

    A due run waits from `note_due` or `end_poll` until an `end_poll` that says otherwise. A suspect
    waits while `expect_suspect` says so; it is alone from `try_take_alone` until its slot is
    shared, paused or released.
    """

    def __init__(self, concurrency: int, open_runs: int = OPEN_RUNS) -> None:
        self.concurrency = concurrency
        self._open_runs = open_runs
        self._open: set[Slot] = set()
        self._computing: set[Slot] = set()
        self._resuming: deque[tuple[Slot, asyncio.Future[None]]] = deque()
        self._due_waits = False
        self._due_noted = False
        self._suspect_waits = False
        self._alone: Slot | None = None
        self._paused = False
        self._closed = False
        self.accepting = asyncio.Event()
        """Set while new deliveries should be consumed: a slot is free, and no due run waits."""
        self.busy = asyncio.Event()
        """The opposite of `accepting`."""
        self.wants_due = asyncio.Event()
        """Set while a run may be due and a slot is free for it: poll now."""
        self.idle = asyncio.Event()
        """Set while no slot is open."""
        self._update()

    @property
    def free(self) -> int:
        """The number of runs that could start now."""
        if self._closed or self._paused:
            return 0
        return max(0, min(self._most - self.computing, self._open_runs - self.taken))

    @property
    def _most(self) -> int:
        """The number of runs that may compute at once in the present state."""
        if self._alone:
            return 1
        return 0 if self._suspect_waits and not self._closed else self.concurrency

    @property
    def taken(self) -> int:
        """The number of open slots. Unless a claim is in progress, it equals that of open runs."""
        return len(self._open)

    @property
    def computing(self) -> int:
        return len(self._computing)

    @property
    def waiting(self) -> int:
        return self.taken - self.computing

    def try_take(self) -> Slot | None:
        """A slot for a new run; None if no slot is free."""
        return self.take_beyond() if self.free else None

    def take_beyond(self) -> Slot:
        """A slot for a run that is only to be ended, beyond the limit if necessary."""
        slot = Slot(self)
        self._open.add(slot)
        self._computing.add(slot)
        self._update()
        return slot

    def try_take_alone(self) -> Slot | None:
        """A slot for a suspect; None unless nothing else computes."""
        if self._closed or self._paused or self._computing or self.taken >= self._open_runs:
            return None
        self._alone = self.take_beyond()
        self._update()
        return self._alone

    def expect_suspect(self, waits: bool) -> None:
        """Set whether a suspect waits: while one does, no run starts or resumes."""
        self._suspect_waits = waits
        self._update()

    def note_due(self, *, waits: bool) -> None:
        """A run may have become due: poll for it as soon as a slot is free.

        `waits` says that there was no slot for it here: new deliveries then wait for the poll.
        """
        self._due_noted = True
        self._due_waits |= waits
        self._update()

    def begin_poll(self) -> None:
        """A poll begins: it finds every run that was noted as due before now."""
        self._due_noted = False
        self._update()

    def end_poll(self, *, waits: bool) -> None:
        """A poll has ended. `waits`: due runs that go before new deliveries wait for a slot."""
        self._due_waits = waits
        self._update()

    def pause(self, on: bool) -> None:
        """Start no new runs while this is on; open runs keep their slots."""
        self._paused = on
        self._update()

    def close(self) -> None:
        """Start no new runs from now on; open runs go on."""
        self._closed = True
        self._update()

    def _share(self, slot: Slot) -> None:
        if self._alone is slot:
            self._alone = None
            self._update()

    def _pause(self, slot: Slot) -> None:
        self._computing.discard(slot)
        if self._alone is slot:
            self._alone = None
        self._update()

    def _release(self, slot: Slot) -> None:
        self._open.discard(slot)
        self._pause(slot)

    async def _resume(self, slot: Slot) -> None:
        resumed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._resuming.append((slot, resumed))
        self._update()
        try:
            await resumed
        except asyncio.CancelledError:
            self._pause(slot)  # it may have been resumed at the same moment
            raise

    def _update(self) -> None:
        """Give free slots to resuming runs first, before any other caller can see them as free."""
        while self._resuming and self.computing < self._most:
            slot, resumed = self._resuming.popleft()
            if not resumed.done():
                self._computing |= {slot} & self._open
                resumed.set_result(None)
        free = self.free > 0
        accepting = free and not self._due_waits
        for event, on in (
            (self.accepting, accepting),
            (self.busy, not accepting),
            (self.wants_due, free and (self._due_waits or self._due_noted)),
            (self.idle, not self._open),
        ):
            (event.set if on else event.clear)()
