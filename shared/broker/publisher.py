"""Publishing of messages, with confirms, and of events and texts, without."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aio_pika import DeliveryMode
from aio_pika.abc import AbstractChannel
from aiormq import Channel
from aiormq import exceptions as amqp
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.announcer import Announcer
from shared.broker.errors import broker_error, broker_request, user_in
from shared.broker.link import Link, LinkChannel
from shared.contract import topology
from shared.contract.messages import Event
from shared.contract.stream import StreamPart
from shared.errors import (
    BrokerError,
    BrokerUnavailable,
    Forbidden,
    Unconfirmed,
    Undeliverable,
    Unsendable,
)

CONFIRM_TIMEOUT_S = 10.0
"""A quorum queue confirms in milliseconds; under a memory alarm the broker confirms nothing."""
SILENT_S = 15.0
"""A channel of RabbitMQ waits for a queue that does not respond, such as a quorum queue without a
leader, and delays all later messages. After this time they are published on a new connection."""
SILENT_TURN_S = 3.0
"""The time for one message to a silent address, before another address has its turn."""
WATCH_S = 2.0
_TRANSIENT, _PERSISTENT = DeliveryMode.NOT_PERSISTENT, DeliveryMode.PERSISTENT

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
    priority: int | None = None


@dataclass(frozen=True)
class _InFlight:
    job: asyncio.Task[None]
    address: Address
    link: Link
    since: float


class Publisher:
    """Any number of jobs may publish at once, on one shared channel. Messages to the default
    exchange have a second channel: our user may lack the permission, and such a refusal closes the
    channel.

    Two kinds of messages could block the others and have connections of their own. The first are
    direct replies: RabbitMQ 3 closes the connection if it did not create the reply address, or if
    the address belongs to a lost node. The second are messages to an address whose queue has
    confirmed nothing for `SILENT_S`, until it confirms again.
    """

    def __init__(self, link: Link, direct: Link, silent: Link) -> None:
        self._link = link
        self._shared_channel = LinkChannel(link, confirms=True)
        self._default_exchange_channel = LinkChannel(link, confirms=True)
        self._direct = _SerialChannel(direct)
        self._silent = _SerialChannel(silent, SILENT_TURN_S)
        self._silent_addresses: dict[Address, asyncio.Lock] = {}
        """The lock lets one message of each address at a time wait for its turn."""
        self._events = Announcer(link)
        self._texts = Announcer(link)
        self._in_flight: dict[str, _InFlight] = {}

    async def prepare(self) -> None:
        """Open the channels of most messages, events and texts now, so that no first message waits.

        Raises `BrokerUnavailable`; the first message of each channel opens it otherwise.
        """
        async with broker_request("open a channel"):
            await self._shared_channel.get()
            await self._events.prepare()
            await self._texts.prepare()

    async def publish(self, message: Outgoing, timeout_s: float = CONFIRM_TIMEOUT_S) -> None:
        """Publish one message; returns when the broker has confirmed it for every queue.

        Never publishes a second time. Raises `BrokerUnavailable` (not sent), `Unconfirmed` (sent,
        outcome unknown), `Unsendable` (its properties don't fit into a frame), `BrokerError` (the
        broker refused it) or `Undeliverable`: no queue takes the message, the broker fails on this
        direct reply, or our user may not send it and it is not mandatory or goes to a client's own
        queue.

        aio-pika matches returned messages by `message_id` alone: of two messages in flight with
        the same id, one could be confirmed by mistake. So the second waits for the first, even
        after the caller of the first has given up.
        """
        sent: _InFlight | None = None
        address = message.exchange, message.routing_key
        doing = f"publish '{message.message_id}' to '{message.exchange}/{message.routing_key}'"
        try:
            async with broker_request(doing, timeout_s), self._channel(message) as (link, channel):
                while before := self._in_flight.get(message.message_id):
                    await asyncio.wait({before.job})
                since = asyncio.get_running_loop().time()
                job = asyncio.create_task(_confirmed(channel, message, doing))
                sent = self._in_flight[message.message_id] = _InFlight(job, address, link, since)
                job.add_done_callback(lambda done: self._forget_in_flight(message.message_id, done))
                await asyncio.shield(job)
                self._silent_addresses.pop(address, None)
        except BrokerUnavailable as error:
            if sent is None:
                raise
            raise _unconfirmed(doing) from error
        except Undeliverable:  # there is no queue, so the address is not silent
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
                if address in self._silent_addresses:  # no message was confirmed meanwhile
                    async with self._silent.channel() as channel:
                        yield self._silent.link, channel
                    return
        used = self._shared_channel if message.exchange else self._default_exchange_channel
        yield self._link, await used.get()

    async def renew_silent(self) -> None:
        """The job that renews a connection on which a message has waited for `SILENT_S`.

        It renews none while the broker is blocked: no message is confirmed then, and all are
        confirmed after it.
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

    @property
    def dropped(self) -> int:
        """The number of events that were never sent."""
        return self._events.dropped

    def announce(self, event: Event) -> None:
        """Publish an event. If it can't be sent at once, it is dropped and counted."""
        self._events.announce(topology.EVENTS, f"{event.agent}.{event.name}", event)

    def stream(self, root_id: str, part: StreamPart) -> None:
        """Publish a piece of a run's text. If it can't be sent at once, it is dropped."""
        self._texts.announce(topology.STREAM, root_id, part)

    async def send_events(self) -> None:
        """The job that publishes the announced events."""
        await self._events.send()

    async def send_texts(self) -> None:
        """The job that publishes the pieces of texts."""
        await self._texts.send()

    def _forget_in_flight(self, message_id: str, job: asyncio.Task[None]) -> None:
        del self._in_flight[message_id]
        if not job.cancelled():
            job.exception()  # read, or asyncio warns when the caller has been cancelled


class _SerialChannel:
    """A connection that the first message opens, with one channel for one message at a time.

    If a message takes longer than `turn_s`, the connection is renewed: the channel may be stuck.
    """

    def __init__(self, link: Link, turn_s: float | None = None) -> None:
        self.link = link
        self._turn_s = turn_s
        self._channel = LinkChannel(link, confirms=True)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        async with self._turn:
            await self.link.open_once()
            try:
                async with asyncio.timeout(self._turn_s):
                    yield await self._channel.get()
            except TimeoutError:
                await self.link.renew()
                raise


async def _confirmed(channel: AbstractChannel, message: Outgoing, doing: str) -> None:
    """Waits for the confirm, and not for the socket before it, as `Exchange.publish` does.

    While the broker reads nothing, each message id is in the client's queue at most once.
    """
    underlay = await channel.get_underlay_channel()
    assert isinstance(underlay, Channel)  # the interface leaves out `wait`
    properties = _properties(underlay, message, doing)
    async with broker_request(doing, timeout_s=None):
        try:
            await underlay.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=message.mandatory,
                wait=False,
            )
        except amqp.ConnectionInternalError as error:
            if not _is_direct(message):
                raise
            raise Undeliverable(f"could not {doing}: the broker fails at this address") from error
        except amqp.ChannelClosed as error:
            if not _is_about(error, message):
                raise _unconfirmed(doing) from error
            if isinstance(error, amqp.ChannelAccessRefused):
                raise _forbidden(message, doing) from error
            raise broker_error(error, doing) from error


def _properties(channel: Channel, message: Outgoing, doing: str) -> Basic.Properties:
    """Raises `Unsendable` for properties that don't fit into a frame: the broker would close the
    connection, which all messages share."""
    properties = Basic.Properties(
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        delivery_mode=_PERSISTENT,
        headers=dict(message.headers),
        message_id=message.message_id,
        priority=message.priority,
        reply_to=message.reply_to,
        user_id=user_in(channel.connection.url) or None,
    )
    try:
        frame = marshal(ContentHeader(body_size=len(message.body), properties=properties), 1)
    except (TypeError, ValueError) as error:
        raise Unsendable(f"could not {doing}: {error}; shorten its properties") from error
    most = channel.connection.connection_tune.frame_max
    if most and len(frame) > most:
        raise Unsendable(
            f"could not {doing}: its properties take {len(frame)} bytes, and a frame of this "
            f"broker {most}; shorten its headers"
        )
    return properties


def _is_direct(message: Outgoing) -> bool:
    return not message.exchange and message.routing_key.startswith(topology.DIRECT_REPLY)


def _is_about(error: amqp.ChannelClosed, message: Outgoing) -> bool:
    """Whether the broker closed the channel because of this message, not another one in flight."""
    text, exchange = str(error), message.exchange or topology.DEFAULT_EXCHANGE
    if "access to topic '" in text:
        return f"access to topic '{message.routing_key}' in exchange '{exchange}'" in text
    return f"message size {len(message.body)} " in text or f"exchange '{exchange}'" in text


def _forbidden(message: Outgoing, doing: str) -> BrokerError:
    """The error for a message that our user may not publish.

    A mandatory one gets `Forbidden`, which is retried: the permission may be granted.
    """
    if not message.exchange:
        return Undeliverable(
            f"could not {doing}: the broker's user may not write to the default exchange; if a "
            "foreign client waits there, set 'foreign_clients: true' in the agent's file, and "
            "import what 'hutch topology' prints"
        )
    kind = Forbidden if message.mandatory else Undeliverable
    return kind(
        f"could not {doing}: the broker's user may not; import what 'hutch topology' prints"
    )


def _unconfirmed(doing: str) -> Unconfirmed:
    return Unconfirmed(
        f"the broker has not confirmed in time; could not {doing} for certain; "
        "publish again with the same message_id"
    )
