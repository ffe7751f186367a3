"""Reading the messages of a queue without removing them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from shared.broker.consumer import Delivery, delivery_of
from shared.broker.declare import plain_channel
from shared.broker.errors import broker_request
from shared.broker.link import Link

ALL = 0
"""The delivery tag that stands for all unacknowledged deliveries of a channel."""


@asynccontextmanager
async def browsing(link: Link, queue: str) -> AsyncIterator[list[Delivery]]:
    """All messages that are ready in a queue now, in order, held for the time of the block.

    However the block ends, messages that it has not acked return to their places in the queue.
    Other consumers do not receive held messages. Raises `BrokerError`.
    """
    async with broker_request(f"open a channel for '{queue}'"):
        channel = await plain_channel(await link.connection())
    try:
        yield await _held(channel, queue)
    finally:
        async with broker_request(f"give back what is left of '{queue}'"):
            if not channel.is_closed:
                await channel.basic_nack(ALL, multiple=True, requeue=True)
                await channel.close()


async def _held(channel: AbstractChannel, queue: str) -> list[Delivery]:
    """Get messages until the queue is empty: the count that a queue reports lags behind.

    aio-pika's `Queue.get` is avoided for the reason that `Consumer` states.
    """
    held: list[Delivery] = []
    while True:
        async with broker_request(f"read from '{queue}'"):
            got = await channel.basic_get(queue)
        if isinstance(got.delivery, Basic.GetEmpty):
            return held
        held.append(delivery_of(got, queue))
