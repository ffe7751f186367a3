"""Messages without confirms that may be lost: events, and pieces of a run's text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq import Channel
from pamqp.commands import Basic

from shared.broker.errors import broker_request, user_in
from shared.broker.link import Link, LinkChannel
from shared.contract.messages import Frozen, encode
from shared.errors import BrokerError

TIMEOUT_S = 1.0
MOST_WAITING = 1000
"""The number of messages that may wait to be sent; further ones are dropped and counted."""

_TRANSIENT = aio_pika.DeliveryMode.NOT_PERSISTENT


@dataclass(frozen=True)
class _Announcement:
    exchange: str
    routing_key: str
    message: Frozen


class Announcer:
    """Each has a channel of its own: the broker closes it if our user may not write to an exchange,
    and what another announcer sends is not affected."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._waiting: asyncio.Queue[_Announcement] = asyncio.Queue(MOST_WAITING)
        self.dropped = 0
        """The number of messages that were never sent."""

    def announce(self, exchange: str, routing_key: str, message: Frozen) -> None:
        """Publish a message. If it can't be sent at once, it is dropped and counted."""
        try:
            self._waiting.put_nowait(_Announcement(exchange, routing_key, message))
        except asyncio.QueueFull:
            self.dropped += 1

    async def send(self) -> None:
        """The job that publishes what was announced, in its order."""
        channel = LinkChannel(self._link, confirms=False)
        while True:
            waiting = [await self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            if not self._link.ready or await self._link.blocked():
                self.dropped += len(waiting)
                continue
            try:
                async with broker_request("announce events", TIMEOUT_S):
                    await _publish(await channel.get(), waiting)
            except BrokerError:
                self.dropped += len(waiting)


async def _publish(channel: AbstractChannel, announced: Sequence[_Announcement]) -> None:
    """Publish these messages; waits for the socket after the last one only."""
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)  # the interface leaves out `wait`
    user = user_in(underlay.connection.url) or None
    for number, it in enumerate(announced, 1):
        await underlay.basic_publish(
            encode(it.message),
            exchange=it.exchange,
            routing_key=it.routing_key,
            properties=Basic.Properties(  # one per message: the client writes an id into it
                content_type="application/json", delivery_mode=_TRANSIENT, user_id=user
            ),
            wait=number == len(announced),
        )
