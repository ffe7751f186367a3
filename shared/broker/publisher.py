"""Publishing: messages with confirms, events with best effort."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractChannel
from aiormq import Channel
from aiormq import exceptions as amqp
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.errors import fault, speaking, user_in
from shared.broker.link import Lane, Link
from shared.contract import topology
from shared.contract.messages import Event, encode
from shared.errors import BrokerError, BrokerUnavailable, Unconfirmed, Undeliverable, Unsendable

CONFIRM_TIMEOUT_S = 10.0
"""A quorum queue confirms in milliseconds; under a memory alarm nothing does."""
ANNOUNCE_TIMEOUT_S = 1.0
ANNOUNCEMENTS = 1000
"""How many events may wait to be sent; further ones are dropped and counted."""
SILENT_S = 15.0
"""RabbitMQ's channel waits for a queue that doesn't answer, such as a quorum queue without a
leader. After this time, the messages that it holds back are published on a new one."""
SILENT_TURN_S = 3.0
"""For one message to an address that was silent: then it is another address's turn."""
WATCH_S = 2.0
_TRANSIENT = aio_pika.DeliveryMode.NOT_PERSISTENT

Address = tuple[str, str]
"""Exchange and routing key."""


@dataclass(frozen=True)
class Outgoing:
    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    correlation_id: str | None = None
    reply_to: str | None = None
    headers: Mapping[str, str | int] = field(default_factory=dict)
    mandatory: bool = True
    content_type: str = "application/json"


@dataclass(frozen=True)
class _InFlight:
    job: asyncio.Task[None]
    address: Address
    link: Link
    since: float


class Publisher:
    """Any number of jobs may publish at once, on one shared channel. The default exchange has
    another: our user may not be allowed to use it, and such a refusal closes the channel.

    Two kinds of messages that would stop the others have connections of their own. A direct reply:
    RabbitMQ 3 closes the connection for an address that it did not make or of a lost node. And a
    message to an address whose queue has confirmed nothing for `SILENT_S`, until it confirms again.
    """

    def __init__(self, link: Link, direct: Link, silent: Link) -> None:
        self._link = link
        self._lane = Lane(link, confirms=True)
        self._default_lane = Lane(link, confirms=True)
        self._direct = _SingleFile(direct)
        self._silent = _SingleFile(silent, SILENT_TURN_S)
        self._silent_addresses: dict[Address, asyncio.Lock] = {}
        """Of each, one message at a time waits for its turn."""
        self._events: asyncio.Queue[Event] = asyncio.Queue(ANNOUNCEMENTS)
        self._in_flight: dict[str, _InFlight] = {}
        self.dropped = 0
        """How many events were never sent."""

    async def publish(self, message: Outgoing, timeout_s: float = CONFIRM_TIMEOUT_S) -> None:
        """Returns when the broker has confirmed that the message is safe in every queue.

        Never publishes a second time. Raises `BrokerUnavailable` (not sent), `Unconfirmed` (sent,
        outcome unknown), `Unsendable` (its properties don't fit into a frame), `BrokerError` (the
        broker refused it) or `Undeliverable`: no queue takes it, the broker fails at this direct
        reply, or our user may not send it and it is optional or for a foreign queue.

        The client distinguishes returned messages by `message_id` alone. Of two with the same id
        at once, one could be confirmed falsely: so the second waits for the first, even when the
        caller of the first has given up.
        """
        sent: _InFlight | None = None
        address = message.exchange, message.routing_key
        doing = f"publish '{message.message_id}' to '{message.exchange}/{message.routing_key}'"
        try:
            async with speaking(doing, timeout_s), self._channel(message) as (link, channel):
                while before := self._in_flight.get(message.message_id):
                    await asyncio.wait({before.job})
                since = asyncio.get_running_loop().time()
                job = asyncio.create_task(_confirmed(channel, message, doing))
                sent = self._in_flight[message.message_id] = _InFlight(job, address, link, since)
                job.add_done_callback(lambda done: self._landed(message.message_id, done))
                await asyncio.shield(job)
                self._silent_addresses.pop(address, None)
        except BrokerUnavailable as error:
            if sent is None:
                raise
            raise _unconfirmed(doing) from error
        except Undeliverable:  # no queue is there that could be silent
            self._silent_addresses.pop(address, None)
            raise

    @asynccontextmanager
    async def _channel(self, message: Outgoing) -> AsyncIterator[tuple[Link, AbstractChannel]]:
        if _is_direct(message):
            async with self._direct.channel() as channel:
                yield self._direct.link, channel
            return
        address = message.exchange, message.routing_key
        if turn := self._silent_addresses.get(address):
            async with turn:
                if address in self._silent_addresses:  # none was confirmed meanwhile
                    async with self._silent.channel() as channel:
                        yield self._silent.link, channel
                    return
        lane = self._lane if message.exchange else self._default_lane
        yield self._link, await lane.channel()

    async def watching(self) -> None:
        """The job that renews a connection on which a message has waited for `SILENT_S`.

        Not while the broker is blocked: then no address confirms, and all will.
        """
        while True:
            await asyncio.sleep(WATCH_S)
            for link in (self._link, self._direct.link):
                waiting = self._waiting(link)
                if waiting and not await link.blocked():
                    if link is self._link:  # a direct reply's address is never used again
                        for address in waiting:
                            self._silent_addresses.setdefault(address, asyncio.Lock())
                    await link.renew()

    def _waiting(self, link: Link) -> set[Address]:
        since = asyncio.get_running_loop().time() - SILENT_S
        in_flight = self._in_flight.values()
        return {one.address for one in in_flight if one.link is link and one.since < since}

    def announce(self, event: Event) -> None:
        """Publish an event. If it can't be sent at once, it is dropped and counted."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1

    async def announcing(self) -> None:
        """The job that sends what was announced."""
        lane = Lane(self._link, confirms=False)
        while True:
            events = [await self._events.get()]
            while not self._events.empty():
                events.append(self._events.get_nowait())
            if not self._link.ready or await self._link.blocked():
                self.dropped += len(events)
                continue
            try:
                async with speaking("announce events", ANNOUNCE_TIMEOUT_S):
                    await _announce(await lane.channel(), events)
            except BrokerError:
                self.dropped += len(events)

    def _landed(self, message_id: str, job: asyncio.Task[None]) -> None:
        del self._in_flight[message_id]
        if not job.cancelled():
            job.exception()  # its caller may be gone; asyncio would complain


class _SingleFile:
    """A connection, opened by its first message, that carries one message at a time.

    A message that takes longer than its turn costs it the connection: a channel may be stuck.
    """

    def __init__(self, link: Link, turn_s: float | None = None) -> None:
        self.link = link
        self._turn_s = turn_s
        self._lane = Lane(link, confirms=True)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        async with self._turn:
            await self.link.open_once()
            try:
                async with asyncio.timeout(self._turn_s):
                    yield await self._lane.channel()
            except TimeoutError:
                await self.link.renew()
                raise


async def _confirmed(channel: AbstractChannel, message: Outgoing, doing: str) -> None:
    written = await _written(channel, message, doing)
    exchange = await channel.get_exchange(message.exchange, ensure=False)
    async with speaking(doing, timeout_s=None):
        try:
            await exchange.publish(written, message.routing_key, mandatory=message.mandatory)
        except amqp.ConnectionInternalError as error:
            if not _is_direct(message):
                raise
            raise Undeliverable(f"could not {doing}: the broker fails at this address") from error
        except amqp.ChannelClosed as error:
            if not _is_about(error, message):
                raise _unconfirmed(doing) from error
            if isinstance(error, amqp.ChannelAccessRefused):
                raise _forbidden(message, doing) from error
            raise fault(error, doing) from error


async def _written(channel: AbstractChannel, message: Outgoing, doing: str) -> aio_pika.Message:
    """aio-pika's message. Raises `Unsendable` for properties that don't fit into a frame: the
    broker would close the connection for all messages."""
    connection = (await channel.get_underlay_channel()).connection
    written = aio_pika.Message(
        message.body,
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=dict(message.headers),
        message_id=message.message_id,
        reply_to=message.reply_to,
        user_id=user_in(connection.url),
    )
    written.priority = None  # else it is 0, and brokers may put that behind none
    header = ContentHeader(body_size=len(message.body), properties=written.properties)
    try:
        frame = marshal(header, 1)
    except (TypeError, ValueError) as error:
        raise Unsendable(f"could not {doing}: {error}; shorten its properties") from error
    most = connection.connection_tune.frame_max
    if most and len(frame) > most:
        raise Unsendable(
            f"could not {doing}: its properties take {len(frame)} bytes, and a frame of this "
            f"broker {most}; shorten its headers"
        )
    return written


def _is_direct(message: Outgoing) -> bool:
    return not message.exchange and message.routing_key.startswith(topology.DIRECT_REPLY)


def _is_about(error: amqp.ChannelClosed, message: Outgoing) -> bool:
    """Whether this message was the refused one, which closed the channel for all under way."""
    text, exchange = str(error), message.exchange or topology.DEFAULT_EXCHANGE
    if "access to topic '" in text:
        return f"access to topic '{message.routing_key}' in exchange '{exchange}'" in text
    return f"message size {len(message.body)} " in text or f"exchange '{exchange}'" in text


def _forbidden(message: Outgoing, doing: str) -> BrokerError:
    """A `BrokerError` for a message that must arrive, as it is retried: permission may be given."""
    if not message.exchange:
        return Undeliverable(
            f"could not {doing}: the broker's user may not write to the default exchange; if a "
            "foreign client waits there, set 'foreign_clients: true' in the agent's file, and "
            "import what 'hutch topology' prints"
        )
    kind = BrokerError if message.mandatory else Undeliverable
    return kind(
        f"could not {doing}: the broker's user may not; import what 'hutch topology' prints"
    )


async def _announce(channel: AbstractChannel, events: Sequence[Event]) -> None:
    """Waits for the socket after the last event: `Exchange.publish` waits after each, which is
    slower than events are announced under load."""
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)  # the interface leaves out `wait`
    user = user_in(underlay.connection.url) or None
    for number, event in enumerate(events, 1):
        await underlay.basic_publish(
            encode(event),
            exchange=topology.EVENTS,
            routing_key=f"{event.agent}.{event.name}",
            properties=Basic.Properties(  # each its own: the client writes an id into it
                content_type="application/json", delivery_mode=_TRANSIENT, user_id=user
            ),
            wait=number == len(events),
        )


def _unconfirmed(doing: str) -> Unconfirmed:
    return Unconfirmed(
        f"the broker has not confirmed in time; could not {doing} for certain; "
        "publish again with the same message_id"
    )
