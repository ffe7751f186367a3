"""The emitter: decides in the store on the ticks that are due, then publishes them."""

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
"""The longest pause between passes; each pass finds the ticks of a scheduler that died."""
PAUSE_LEAST_S = 0.01
"""The shortest pause: the store's clock may be a little behind ours, and passes would spin."""

RESEND_S = 5.0
"""A tick that is still `sending` after this may be published by any scheduler."""
PUBLISH_S = 4.0
"""The timeout of a publication: it ends before another scheduler may publish the tick."""

LEFT_MOST = 100
"""The most ticks left by other schedulers that one pass publishes."""

EMITTING_S = 30.0
"""Without a pass for so long the process is not ready; a pass takes a few seconds at most."""

FAULT_PAUSE = timedelta(minutes=1)
"""The pause after which a schedule with a fault is tried again: a person has to correct it."""

log = structlog.get_logger()
_AT_ONCE = datetime.min.replace(tzinfo=UTC)
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass
class Emitter:
    """Sends ticks, one pass after another. Several processes can do so: the store decides which one
    sends a tick.
    """

    store: Store
    publisher: Publisher
    metrics: Metrics
    scheduled: Sequence[Scheduled]
    _stands: dict[Scheduled, tuple[datetime, datetime]] = field(default_factory=dict)
    """For each schedule: the time up to which all is decided, and the next time to decide on."""
    _passed_at: float = float("-inf")

    @property
    def emitting(self) -> bool:
        return time.monotonic() - self._passed_at < EMITTING_S

    async def serve(self) -> None:
        """Make passes until cancelled. A fault of a schedule or tick is logged and delays no other.

        If it is cancelled after publishing a tick and before committing it as `sent`, a later pass
        of any scheduler publishes a copy with the same id.
        """
        while True:
            pause_s = await self._pass()
            await asyncio.sleep(pause_s)

    async def _pass(self) -> float:
        """One pass; returns the seconds until the next one."""
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
        """Whether nothing is to be decided now: no time is due, and the clock was not set back."""
        last, coming = self._stands.get(one, (_AT_ONCE, _AT_ONCE))
        return last <= now < coming

    async def _settled(self, one: Scheduled, now: datetime) -> list[Tick]:
        """Like `_settle`; after a fault in it, no ticks, and a pause for this schedule."""
        sending: list[Tick] = []

        async def settle() -> None:
            sending.extend(await self._settle(one))

        self._stands[one] = _AT_ONCE, now + FAULT_PAUSE
        await contained(settle, "schedule not settled")
        return sending

    async def _settle(self, one: Scheduled) -> list[Tick]:
        """Decide on the due ticks of one schedule; returns those that this process sends."""
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
        self._record(one, [tick.outcome for tick in settled.ticks])
        return [tick for tick in settled.ticks if tick.outcome is TickOutcome.SENDING]

    def _record(self, one: Scheduled, outcomes: Sequence[TickOutcome]) -> None:
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
        """Publish a tick and commit it as `sent`; returns the error if it was not confirmed."""
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
