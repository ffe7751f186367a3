"""Settlement: each delivery is received and acked, refused if it is bad, and tried again while the
broker or the store is unavailable.

This is the one boundary around a delivery: no error in it ends the process or affects another
delivery.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from services.agent.delivery.message_ids import MessageIds
from services.agent.delivery.refusals import Refusals
from shared.broker.consumer import Consumer, Delivery
from shared.concurrency.fault_boundary import is_own_cancellation
from shared.concurrency.retry import retry
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
"""The longest wait between two attempts while the broker or the store is unavailable."""

OUR_FAULT = "a fault of ours: the agent's log and the dead letter say which"
"""Sent instead of an unexpected error's text, which may not be meant for the sender."""

Receive = Callable[[Delivery], Awaitable[None]]
T = TypeVar("T")
_TEMPORARY = (BrokerUnavailable, Unconfirmed, StoreUnavailable)

log = structlog.get_logger()


class _Gone(Exception):
    """The broker has taken the delivery back: the process that gets it next settles it."""


@dataclass
class Settlement:
    refusals: Refusals
    ids: MessageIds = field(default_factory=MessageIds)

    async def serve(
        self, consumer: Consumer, prefetch: int, receive: Receive, store: Store | None = None
    ) -> None:
        """Consume, and settle up to `prefetch` deliveries at a time, until cancelled.

        Deliveries are started in their order and settled concurrently. With a `store`, nothing is
        consumed while it is unavailable.
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
            await store.reachable.wait()
            await consumer.start(prefetch)
            await store.unreachable.wait()
            await consumer.stop()

    async def settle(self, delivery: Delivery, receive: Receive) -> None:
        """Call `receive`, refuse the delivery if `receive` raises `BadMessage`, and ack it.

        Each of these is repeated while the store or the broker is unavailable. If the process dies
        before the ack, the broker delivers the message again. Raises nothing but a cancellation.
        """
        try:
            await self._settled(delivery, receive)
        except _Gone:
            log.info("delivery taken back by the broker", queue=delivery.queue)
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            # Not even its dead letter was kept: the broker delivers it again, up to its limit.
            log.exception("delivery not settled", queue=delivery.queue)
            await asyncio.sleep(RETRY_MOST_S)
            await delivery.give_back()

    async def _settled(self, delivery: Delivery, receive: Receive) -> None:
        bad = await _retrying(delivery, lambda: _received(delivery, receive))
        if bad is not None:
            reason, public = bad
            log.warning("message refused", queue=delivery.queue, reason=reason)
            dead_letter = self.refusals.dead_letter(delivery, reason)
            await _retrying(delivery, lambda: self.refusals.keep(dead_letter))
            await self._answer(delivery, public)
        if await delivery.ack():
            await self.ids.acked(delivery)

    async def _answer(self, delivery: Delivery, reason: str) -> None:
        """Answer a refused message. An answer that can't be sent is only logged, since the dead
        letter is already kept."""
        try:
            await _retrying(delivery, lambda: self.refusals.answer(delivery, reason))
        except _Gone:
            raise
        except BaseException as error:
            if is_own_cancellation(error):
                raise
            log.exception("refusal not sent", queue=delivery.queue)


async def _received(delivery: Delivery, receive: Receive) -> tuple[str, str] | None:
    """None if the delivery was received; else the reason for the operator and for the sender."""
    try:
        await receive(delivery)
    except _TEMPORARY:
        raise
    except StoreError as error:
        return (f"it can't be stored: {error}",) * 2
    except (BadMessage, BrokerError) as error:
        return (str(error),) * 2
    except BaseException as error:
        if is_own_cancellation(error):
            raise
        log.exception("unexpected error in a delivery", queue=delivery.queue)
        *_, text = traceback.format_exception_only(error)
        return f"a fault of ours: {text.strip()}", OUR_FAULT
    return None


async def _retrying(delivery: Delivery, attempt: Callable[[], Awaitable[T]]) -> T:
    """Repeat an attempt until it succeeds; raises `_Gone` once the broker has taken the delivery
    back."""

    async def once() -> T:
        if delivery.gone:
            raise _Gone
        return await attempt()

    def failed(error: Exception) -> None:
        log.warning("delivery not settled yet", queue=delivery.queue, error=str(error))

    return await retry(once, _TEMPORARY, max_wait_s=RETRY_MOST_S, on_failure=failed)
