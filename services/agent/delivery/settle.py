"""Each delivery is received and acked; what is bad is refused, what can't be done yet waits.

This is the one boundary around a delivery: whatever it meets, it ends neither the process nor
what is settled beside it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from services.agent.delivery.message_ids import DrawnIds
from services.agent.delivery.refusals import Refusal
from shared.broker.consumer import Consumer, Delivery
from shared.concurrency.retry import insist
from shared.errors import (
    BadMessage,
    BrokerError,
    BrokerUnavailable,
    StoreError,
    StoreUnavailable,
    Unconfirmed,
)
from shared.store import Store

RETRY_MOST_S = 5.0
"""Between two tries to dead-letter or pass on a message while the broker is away."""

OUR_FAULT = "a fault of ours: the agent's log and the dead letter say which"
"""To the sender: what an unexpected error says may be for nobody else to read."""

Receive = Callable[[Delivery], Awaitable[None]]
T = TypeVar("T")
_PASSING = (BrokerUnavailable, Unconfirmed, StoreUnavailable)

log = structlog.get_logger()


class _Gone(Exception):
    """The broker has taken the delivery back: the process that gets it next settles it."""


@dataclass
class Settling:
    refusal: Refusal
    ids: DrawnIds = field(default_factory=DrawnIds)

    async def each(
        self, consumer: Consumer, prefetch: int, receive: Receive, store: Store | None = None
    ) -> None:
        """Consume, and settle up to `prefetch` deliveries at a time, until cancelled.

        They begin in their order, and none waits for another's end. With a `store`, nothing is
        consumed while that is away.
        """
        places = asyncio.Semaphore(prefetch)
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(self._consume(consumer, prefetch, store))
            async for delivery in consumer:
                await places.acquire()
                if delivery.gone:
                    places.release()
                    continue
                job = jobs.create_task(self.settle(delivery, receive))
                job.add_done_callback(lambda _: places.release())

    async def _consume(self, consumer: Consumer, prefetch: int, store: Store | None) -> None:
        while True:
            if store is None:
                await consumer.start(prefetch)
                return
            await store.here.wait()
            await consumer.start(prefetch)
            await store.away.wait()
            await consumer.stop()

    async def settle(self, delivery: Delivery, receive: Receive) -> None:
        """Receive, then ack; refuse what is bad. Unacked, the broker will deliver it again.

        A store or a broker that is away is waited for. Raises nothing but a cancellation.
        """
        try:
            await self._settled(delivery, receive)
        except _Gone:
            log.info("delivery taken back by the broker", queue=delivery.queue)
        except Exception:
            # Not even its dead letter could be kept: the broker counts, and gives it up in the end.
            log.exception("delivery not settled", queue=delivery.queue)
            await asyncio.sleep(RETRY_MOST_S)
            await delivery.give_back()

    async def _settled(self, delivery: Delivery, receive: Receive) -> None:
        bad = await _insisting(delivery, lambda: _received(delivery, receive))
        if bad is not None:
            reason, public = bad
            log.warning("message refused", queue=delivery.queue, reason=reason)
            letter = self.refusal.letter(delivery, reason)
            await _insisting(delivery, lambda: self.refusal.bury(letter))
            await self._answer(delivery, public)
        if await delivery.ack():
            await self.ids.acked(delivery)

    async def _answer(self, delivery: Delivery, reason: str) -> None:
        """What can't be answered for good is logged: its dead letter is kept."""
        try:
            await _insisting(delivery, lambda: self.refusal.answer(delivery, reason))
        except _Gone:
            raise
        except Exception:
            log.exception("refusal not sent", queue=delivery.queue)


async def _received(delivery: Delivery, receive: Receive) -> tuple[str, str] | None:
    """None when it was received; else why not, for the operator and for the sender."""
    try:
        await receive(delivery)
    except _PASSING:
        raise
    except StoreError as error:
        return (f"it can't be stored: {error}",) * 2
    except (BadMessage, BrokerError) as error:
        return (str(error),) * 2
    except Exception as error:
        log.exception("delivery met a fault of ours", queue=delivery.queue)
        *_, said = traceback.format_exception_only(error)
        return f"a fault of ours: {said.strip()}", OUR_FAULT
    return None


async def _insisting(delivery: Delivery, attempt: Callable[[], Awaitable[T]]) -> T:
    """Until it succeeds, or raises `_Gone`: then the next who gets the delivery tries."""

    async def once() -> T:
        if delivery.gone:
            raise _Gone
        return await attempt()

    def told(error: Exception) -> None:
        log.warning("delivery not settled yet", queue=delivery.queue, error=str(error))

    return await insist(once, _PASSING, most_s=RETRY_MOST_S, told=told)
