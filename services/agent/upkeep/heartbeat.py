"""The beat, and the look: orders, due runs, and what dead replicas have left.

A replica is dead when this process has itself seen its count stand still for `SILENCE_S`. A
look that comes late proves nothing (this process slept, or the store was away): it starts the
watch anew.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import structlog

from services.agent.delivery.outbox import Relay
from services.agent.instance import Instance
from services.agent.runs.admission import Slot, Slots
from services.agent.runs.open_runs import Runs
from services.agent.upkeep.commands import Orders
from shared.concurrency.boundary import contained
from shared.store.messages import outbox
from shared.store.processes import heartbeats
from shared.store.processes.heartbeats import SILENCE_S
from shared.store.queries.poll import Counts, Poll, poll
from shared.store.runs.run import Run
from shared.store.runs.takeover import take

log = structlog.get_logger()

BEAT_S = 1.0
LOOK_S = 0.5
"""Between two looks, give or take a fifth: replicas should not look in step, and a pause holds
within a second."""
LATE_S = 1.5
"""A longer gap between two looks of ours is a sleep, not a look."""


@dataclass
class Watch:
    """Who has been silent, on this process's own monotonic clock."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def look(self, beats_now: dict[str, int], now: float) -> set[str]:
        """The instances whose count has stood still for `SILENCE_S`."""
        if now - self._looked_at > LATE_S:
            self._seen.clear()
        self._looked_at = now
        for instance, beat in beats_now.items():
            if self._seen.get(instance, (None, 0.0))[0] != beat:
                self._seen[instance] = (beat, now)
        self._seen = {name: self._seen[name] for name in beats_now}
        return {name for name, (_, since) in self._seen.items() if now - since >= SILENCE_S}


@dataclass
class Sweeper:
    instance: Instance
    slots: Slots
    runs: Runs
    relay: Relay
    orders: Orders
    caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while, as far as this process knows, no due run waits: new deliveries may come."""
    _watch: Watch = field(default_factory=Watch)
    _beaten_at: float = float("-inf")

    def look_soon(self) -> None:
        """A run has become due that this process had no slot for."""
        self.caught_up.clear()
        self.instance.due.set()

    async def serve(self) -> None:
        """Beat, look and take, until cancelled. What fails is logged, and tried again next time."""
        self.caught_up.set()
        while True:
            self.instance.due.clear()
            self.instance.ordered.clear()
            await contained(self._beat, "heartbeat failed")
            await contained(self._look, "poll failed")
            await self._pause()

    async def _pause(self) -> None:
        """Until the next poll: soon; at once after an order; or once a run may be due and a slot
        is free for it."""
        causes = [
            asyncio.create_task(self.instance.ordered.wait()),
            asyncio.create_task(self._could_take()),
        ]
        most_s = LOOK_S * random.uniform(0.8, 1.2)
        try:
            await asyncio.wait(causes, timeout=most_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for cause in causes:
                cause.cancel()

    async def _could_take(self) -> None:
        if self.caught_up.is_set():
            await self.instance.due.wait()
        await self.slots.vacant.wait()

    async def _beat(self) -> None:
        if time.monotonic() - self._beaten_at < BEAT_S:
            return
        me = self.instance
        await me.store.write("", lambda connection: heartbeats.record(connection, me.id, me.agent))
        self._beaten_at = time.monotonic()

    async def _look(self) -> None:
        seen = await self._seen()
        dead = self._watch.look(seen.heartbeats, time.monotonic()) - {self.instance.id}
        if dead:  # what they have left is only counted by a look that knows of them
            seen = await self._seen(dead)
        found = seen.counts
        self._show(found)
        # One part that fails, at a row that can't be read, holds back none of the others.
        await contained(partial(self.orders.obey, seen.commands), "orders not obeyed")
        if found.abandoned_messages:
            await contained(partial(self._adopt, dead), "messages not adopted")
        suspects = partial(self._take_suspect, dead, found.suspects)
        await contained(suspects, "suspect not taken")
        await contained(partial(self._take, dead, found.takeable), "due runs not taken")
        for name in dead:
            await self.instance.store.write("", partial(heartbeats.remove_dead, instance=name))

    async def _seen(self, dead: Collection[str] = ()) -> Poll:
        me = self.instance
        return await me.store.read(partial(poll, agent=me.agent, instance=me.id, dead=dead))

    def _show(self, found: Counts) -> None:
        metrics = self.instance.metrics
        metrics.runs.labels("due").set(found.due)
        metrics.oldest_due_age.set(found.oldest_due_s)
        metrics.run_deaths.set(found.most_deaths)
        metrics.outbox_oldest_age.set(found.oldest_unsent_s)
        metrics.dead_letters_kept.set(found.dead_letters_kept)

    async def _take_suspect(self, dead: set[str], waiting: int) -> None:
        """One, alone: of several that compute when a process dies, nobody knows the guilty one."""
        self.slots.clear(wanted=waiting > 0)
        slot = self.slots.try_take_alone() if waiting else None
        if slot is None:
            return
        try:
            await self._start(dead, [slot], suspects=True)
        except BaseException:
            self.slots.clear(wanted=False)  # nothing else waits for one that can't be taken
            raise

    async def _take(self, dead: set[str], waiting: int) -> None:
        slots: list[Slot] = []
        while len(slots) < waiting and (slot := self.slots.try_take()):
            slots.append(slot)
        try:
            taken = await self._start(dead, slots) if slots else 0
        except BaseException:
            self.caught_up.set()  # no new delivery waits for what can't be taken
            raise
        if taken < len(slots) or len(slots) == waiting:
            self.caught_up.set()
        else:  # no slot for the rest: the next that is free is theirs, not a new delivery's
            self.caught_up.clear()

    async def _start(self, dead: set[str], slots: list[Slot], *, suspects: bool = False) -> int:
        """Take as many runs as there are slots, and start them; the number that there were."""
        spare = list(slots)
        try:
            taken = await self._taken(dead, len(slots), suspects=suspects)
            for run in taken:
                self.runs.start(run, spare.pop())
            return len(taken)
        finally:
            for slot in spare:
                slot.release()

    async def _taken(self, dead: set[str], wanted: int, *, suspects: bool) -> list[Run]:
        me, earlier = self.instance, dict[str, bool]()
        taken = await me.store.write(
            "", lambda db: take(db, me.agent, me.id, dead, wanted, earlier, suspects=suspects)
        )
        for run in taken:
            if earlier[run.run_id]:
                me.metrics.takeovers.inc()
                log.info("run taken over", run=run.run_id, attempts=run.attempts, alone=suspects)
            me.tell("run.taken", run, attempts=run.attempts)
        return taken

    async def _adopt(self, dead: set[str]) -> None:
        me, earlier = self.instance, set[int]()
        self.relay.send(
            await me.store.write(
                "", lambda connection: outbox.adopt(connection, me.agent, me.id, dead, earlier)
            )
        )
