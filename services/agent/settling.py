"""Each delivery is received and acked; what is bad is refused, what can't be done yet waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from services.agent.refusal import Refusal
from shared.broker.consuming import Consumer, Delivery
from shared.errors import BadMessage, BrokerError, StoreError, StoreUnavailable
from shared.patience import insist

RETRY_MOST_S = 5.0
"""Between two tries to dead-letter or pass on a message while the broker refuses it."""

log = structlog.get_logger()


async def settle_each(
    consumer: Consumer,
    prefetch: int,
    receive: Callable[[Delivery], Awaitable[None]],
    refusal: Refusal,
) -> None:
    """Consume, and settle one delivery after the other, until cancelled."""
    await consumer.start(prefetch)
    async for delivery in consumer:
        await settle(delivery, receive, refusal)


async def settle(
    delivery: Delivery, receive: Callable[[Delivery], Awaitable[None]], refusal: Refusal
) -> None:
    """Receive, then ack; refuse what is bad. Unacked, the broker will deliver it again.

    A store or a broker that is away is waited for.
    """
    await insist(
        lambda: _settled(delivery, receive, refusal),
        BrokerError,
        most_s=RETRY_MOST_S,
        told=lambda error: _log_wait(delivery, error),
    )
    await delivery.ack()


async def _settled(
    delivery: Delivery, receive: Callable[[Delivery], Awaitable[None]], refusal: Refusal
) -> None:
    try:
        await receive(delivery)
    except BadMessage as error:
        await refusal.refuse(delivery, str(error))
    except StoreUnavailable:
        raise
    except StoreError as error:
        await refusal.refuse(delivery, f"it can't be stored: {error}")


def _log_wait(delivery: Delivery, error: Exception) -> None:
    log.warning("delivery not settled yet", queue=delivery.queue, error=str(error))
