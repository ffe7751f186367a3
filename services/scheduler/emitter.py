"""One pass after another: settle what has come due in the store, then publish it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog

from services.scheduler.metrics import Metrics
from services.scheduler.plan import MOST_MADE_UP, Scheduled
from shared.broker.publisher import Outgoing, Publisher
from shared.concurrency.fault_boundary import contained
from shared.contract import topology
from shared.errors import BrokerError
from shared.store import Store
from shared.store.messages import ticks
from shared.store.messages.ticks import Tick, TickOutcome

PAUSE_MOST_S = 1.0
"""So often, at least, the ticks of a scheduler that died are looked for."""
PAUSE_LEAST_S = 0.01
"""The two clocks differ a little: no spinning while the store's is about to strike."""

RESEND_S = 5.0
"""A tick still `sending` after this is anybody's to publish."""
PUBLISH_S = 4.0
"""Less than `RESEND_S`: who has not heard the broker by then has given the tick up."""

LEFT_MOST = 100
"""Left ticks that one pass publishes."""

EMITTING_S = 30.0
"""No pass for so long and something is wrong; a pass takes at most a few seconds."""

FAULT_PAUSE = timedelta(minutes=1)
"""Until a schedule that met a fault is tried again: a person has to look at it."""

log = structlog.get_logger()
_AT_ONCE = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Emitter:
    """Any number of processes may do this on one store: it decides who sends a tick."""

    store: Store
    publisher: Publisher
    metrics: Metrics
    scheduled: Sequence[Scheduled]
    _stands: dict[Scheduled, tuple[datetime, datetime]] = field(default_factory=dict)
    """Of each schedule the time up to which all is decided, and the next to decide on."""
    _passed_at: float = float("-inf")

    @property
    def emitting(self) -> bool:
        return time.monotonic() - self._passed_at < EMITTING_S

    async def serve(self) -> None:
        """Pass and wait, until cancelled. A fault of one schedule, or of one tick, is logged and
        holds back no other.

        Cancelled between publishing and committing `sent`, it leaves the tick to whoever looks
        next: a copy with the same id.
        """
        while True:
            pause_s = await self._pass()
            await asyncio.sleep(pause_s)

    async def _pass(self) -> float:
        """Returns the seconds until the next one."""
        began = time.monotonic()
        unsent = await self.store.write(
            "", partial(ticks.take_unsent, silence_s=RESEND_S, most=LEFT_MOST)
        )
        due = [one for one in self.scheduled if not self._waits(one, unsent.now)]
        async with asyncio.TaskGroup() as jobs:
            settling = [jobs.create_task(self._settled(one, unsent.now)) for one in due]
        fresh = [tick for job in settling for tick in job.result()]
        await self._send_all([*unsent.ticks, *fresh])
        self._passed_at = time.monotonic()
        following = min((coming for _, coming in self._stands.values()), default=_NEVER)
        ahead_s = (following - unsent.now).total_seconds()
        return min(PAUSE_MOST_S, max(PAUSE_LEAST_S, ahead_s - (time.monotonic() - began)))

    def _waits(self, one: Scheduled, now: datetime) -> bool:
        """Nothing is to be decided now: neither has a time come, nor was the clock set back."""
        last, coming = self._stands.get(one, (_AT_ONCE, _AT_ONCE))
        return last <= now < coming

    async def _settled(self, one: Scheduled, now: datetime) -> list[Tick]:
        """As `_settle`; none, and a pause, where that meets a fault."""
        sending: list[Tick] = []

        async def settle() -> None:
            sending.extend(await self._settle(one))

        self._stands[one] = _AT_ONCE, now + FAULT_PAUSE
        await contained(settle, "schedule not settled")
        return sending

    async def _settle(self, one: Scheduled) -> list[Tick]:
        """Decide what has come due of one schedule; returns what is this process's to send."""
        settled = await self.store.write(
            one.key,
            partial(
                ticks.settle,
                agent=one.agent,
                schedule=one.schedule.name,
                coming=one.coming,
                choose=one.choose,
            ),
        )
        self._stands[one] = settled.last, next(one.coming(settled.last), _NEVER)
        if settled.set_back_s:
            seconds = round(settled.set_back_s, 1)
            log.warning("clock set back: one tick is left out", schedule=one.key, seconds=seconds)
        self._tell(one, [tick.outcome for tick in settled.ticks])
        return [tick for tick in settled.ticks if tick.outcome is TickOutcome.SENDING]

    def _tell(self, one: Scheduled, outcomes: Sequence[TickOutcome]) -> None:
        skipped, missed = outcomes.count(TickOutcome.SKIPPED), outcomes.count(TickOutcome.MISSED)
        self.metrics.ticks.labels(TickOutcome.SKIPPED).inc(skipped)
        self.metrics.ticks.labels(TickOutcome.MISSED).inc(missed)
        if skipped:
            log.info("tick skipped: the one before is still open", schedule=one.key)
        if missed:
            log.warning(
                "ticks missed",
                schedule=one.key,
                policy=one.schedule.missed,
                missed=missed,
                more=len(outcomes) > MOST_MADE_UP,
                made_up=outcomes.count(TickOutcome.SENDING),
            )

    async def _send_all(self, sending: Iterable[Tick]) -> None:
        failures: list[BrokerError] = []

        async def send(tick: Tick) -> None:
            if failure := await self._send(tick):
                failures.append(failure)

        async with asyncio.TaskGroup() as jobs:
            for tick in sending:
                jobs.create_task(contained(partial(send, tick), "tick not sent"))
        if failures:
            log.warning("ticks to be sent again", ticks=len(failures), error=str(failures[0]))

    async def _send(self, tick: Tick) -> BrokerError | None:
        """Publish, then commit that it is sent; the error when the broker has not confirmed."""
        message = Outgoing(
            topology.TASKS, tick.agent, (tick.message or "").encode(), message_id=tick.published_as
        )
        try:
            await self.publisher.publish(message, PUBLISH_S)
        except BrokerError as error:
            return error
        late_s = await self.store.write(tick.tick_id, partial(ticks.record_sent, tick=tick))
        self.metrics.ticks.labels(TickOutcome.SENT).inc()
        self.metrics.lateness.observe(late_s)
        log.info("tick sent", tick=tick.published_as, agent=tick.agent, late_s=round(late_s, 3))
        return None
