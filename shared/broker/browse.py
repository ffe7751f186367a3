"""Reading a queue without taking from it."""

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
"""As a delivery tag: all that a channel has not acked."""


@asynccontextmanager
async def browsing(link: Link, queue: str) -> AsyncIterator[list[Delivery]]:
    """All messages that wait in a queue now, in its order, held as long as the block lasts.

    What isn't acked in the block goes back to its place after it, whatever ends it. Meanwhile
    other readers don't see what is held here. Raises `BrokerError`.
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
    """Asks until nothing comes: the count that a queue reports lags behind.

    `Queue.get` would build aio-pika's message, see `Consumer`.
    """
    held: list[Delivery] = []
    while True:
        async with broker_request(f"read from '{queue}'"):
            got = await channel.basic_get(queue)
        if isinstance(got.delivery, Basic.GetEmpty):
            return held
        held.append(delivery_of(got, queue))
