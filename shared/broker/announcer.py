"""Messages without confirms that may be lost: events, and pieces of a run's text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq import Channel
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.errors import broker_request, user_in
from shared.broker.link import Link, LinkChannel
from shared.contract.messages import Frozen, encode
from shared.errors import BrokerError

TIMEOUT_S = 1.0
MOST_WAITING = 1000
"""The number of messages that may wait to be sent; further ones are dropped and counted."""

ANY_SIZE = 2**31
FRAME_OVERHEAD = 8
"""The bytes of a frame around its content."""
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
        self._channel = LinkChannel(link, confirms=False)
        self._waiting: asyncio.Queue[_Announcement] = asyncio.Queue(MOST_WAITING)
        self.dropped = 0
        """The number of messages that were never sent."""

    def announce(self, exchange: str, routing_key: str, message: Frozen) -> None:
        """Publish a message. If it can't be sent at once, it is dropped and counted."""
        try:
            self._waiting.put_nowait(_Announcement(exchange, routing_key, message))
        except asyncio.QueueFull:
            self.dropped += 1

    async def prepare(self) -> None:
        """Open the channel now; the first message opens it otherwise."""
        await self._channel.get()

    async def send(self) -> None:
        """The job that publishes what was announced, in its order."""
        while True:
            waiting = [await self._waiting.get()]
            while not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            if not self._link.ready or await self._link.blocked():
                self.dropped += len(waiting)
                continue
            try:
                async with broker_request("announce events", TIMEOUT_S):
                    await _publish(await self._channel.get(), waiting)
            except BrokerError:
                self.dropped += len(waiting)


async def _publish(channel: AbstractChannel, announced: Sequence[_Announcement]) -> None:
    """Write these messages to the socket, below aiormq's cost per message: it would also draw an id
    for each."""
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)  # the interface leaves out `write_queue`
    number, user = underlay.number, user_in(underlay.connection.url) or None
    most = (underlay.connection.connection_tune.frame_max or ANY_SIZE) - FRAME_OVERHEAD
    frames: list[bytes] = []
    for it in announced:
        body = encode(it.message)
        frames.append(_head(number, it.exchange, it.routing_key, user, len(body)))
        parts = (body[start : start + most] for start in range(0, len(body), most))
        frames.extend(marshal(ContentBody(part), number) for part in parts)
    written = underlay.create_future()
    frame = ChannelFrame(b"".join(frames), should_close=False, drain_future=written)
    # A job of the channel is cancelled when that closes: a later frame would end the connection.
    await underlay.create_task(underlay.write_queue.put(frame))
    await written


@lru_cache(maxsize=1024)
def _head(number: int, exchange: str, routing_key: str, user: str | None, size: int) -> bytes:
    """The frames before the body, which are the same for most messages of an agent."""
    properties = Basic.Properties(
        content_type="application/json", delivery_mode=_TRANSIENT, user_id=user
    )
    return marshal(Basic.Publish(exchange=exchange, routing_key=routing_key), number) + marshal(
        ContentHeader(body_size=size, properties=properties), number
    )
