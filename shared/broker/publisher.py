"""Publishing: confirmed for what must arrive, best effort for what is only told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiormq import Channel
from aiormq import exceptions as amqp
from aiormq.abc import ChannelFrame
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.errors import fault, speaking, user_of
from shared.broker.link import Lane, Link
from shared.contract import topology
from shared.contract.messages import Event, encode
from shared.errors import BrokerError, BrokerUnavailable, Unconfirmed, Undeliverable, Unsendable

CONFIRM_TIMEOUT_S = 10.0
"""A quorum queue confirms in milliseconds; under a memory alarm nothing does."""
ANNOUNCE_TIMEOUT_S = 1.0
ANNOUNCEMENTS = 1000
"""Events that may wait to be sent; more than that are dropped and counted."""
STUCK_S = 15.0
"""A channel stops at a queue that answers nothing, a quorum queue without a leader: nothing that
is published on it reaches any queue."""
WATCH_S = 2.0
_TRANSIENT, _PERSISTENT = 1, 2


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
    """Any number of jobs may publish at once: they share one channel, and another for the default
    exchange: where that is refused, which closes the channel, nothing else is under way on it.

    Direct replies have a connection of their own, opened for the first one, and go one at a time:
    at an address that it has not made, or whose node is gone, RabbitMQ 3 ends the connection.

    Nor does a queue that confirms nothing hold up the others: the connection on which it has is
    renewed, and its address gets one apart, one message at a time, until it confirms again.
    """

    def __init__(self, link: Link, direct: Link, apart: Link) -> None:
        self._link = link
        self._direct = direct
        self._apart = apart
        self._lane = Lane(link, confirms=True)
        self._default_lane = Lane(link, confirms=True)
        self._direct_lane = Lane(direct, confirms=True)
        self._one_direct = asyncio.Lock()
        self._apart_lane = Lane(apart, confirms=True)
        self._one_apart = asyncio.Lock()
        self._silent: set[Address] = set()
        """Addresses that have confirmed nothing for long."""
        self._events: asyncio.Queue[Event] = asyncio.Queue(ANNOUNCEMENTS)
        self._in_flight: dict[str, _InFlight] = {}
        self.dropped = 0
        """Events that were never sent."""

    async def publish(self, message: Outgoing, timeout_s: float = CONFIRM_TIMEOUT_S) -> None:
        """Returns when the broker has confirmed that the message is safe in every queue.

        Raises `BrokerUnavailable` (not sent), `Undeliverable` (no queue takes it, the broker fails
        at this direct reply, or nobody insists on it or it is for a foreign queue, and our user may
        not send it), `Unsendable` (its properties don't fit), `Unconfirmed` (sent, but nobody
        knows) or `BrokerError` (the broker refused it). Never tries again by itself.

        The client tells returned messages apart by `message_id` alone, so that one of two
        under way with the same id could be confirmed falsely: the second waits for the first,
        also when the first's caller has given up on it.
        """
        sent: _InFlight | None = None
        address = message.exchange, message.routing_key
        doing = f"publish '{message.message_id}' to '{message.exchange}/{message.routing_key}'"
        try:
            async with speaking(doing, timeout_s), self._channel(message) as (link, channel):
                while before := self._in_flight.get(message.message_id):
                    await asyncio.wait({before.job})
                work = _confirmed(channel, message, doing, wait=self._link.blocked)
                since = asyncio.get_running_loop().time()
                sent = _InFlight(asyncio.create_task(work), address, link, since)
                self._in_flight[message.message_id] = sent
                sent.job.add_done_callback(lambda done: self._landed(message.message_id, done))
                await asyncio.shield(sent.job)
                self._silent.discard(address)
        except BrokerUnavailable as error:
            if sent is None:
                raise
            if sent.link is self._apart:
                await self._apart.renew()
            raise _unconfirmed(doing) from error
        except Undeliverable:  # no queue is there that could be silent
            self._silent.discard(address)
            raise

    @asynccontextmanager
    async def _channel(self, message: Outgoing) -> AsyncIterator[tuple[Link, Channel]]:
        if _is_direct(message):
            async with self._one_direct:
                await self._direct.open_once()
                yield self._direct, await self._direct_lane.channel()
        elif (message.exchange, message.routing_key) in self._silent:
            async with self._one_apart:
                await self._apart.open_once()
                yield self._apart, await self._apart_lane.channel()
        else:
            lane = self._lane if message.exchange else self._default_lane
            yield self._link, await lane.channel()

    async def watching(self) -> None:
        """The job that finds addresses which confirm nothing, and renews their connection.

        Not while the broker is blocked: then no address confirms, and all will.
        """
        while True:
            await asyncio.sleep(WATCH_S)
            late = asyncio.get_running_loop().time() - STUCK_S
            for link in (self._link, self._direct):
                stuck = {
                    it.address
                    for it in self._in_flight.values()
                    if it.link is link and it.since < late
                }
                if stuck and not link.blocked:
                    if link is self._link:  # a direct reply's address is never used again
                        self._silent |= stuck
                    await link.renew()

    def announce(self, event: Event) -> None:
        """Tell whoever looks; dropped and counted when it can't be sent at once."""
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
            if not self._link.ready or self._link.blocked:
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


async def _confirmed(channel: Channel, message: Outgoing, doing: str, *, wait: bool) -> None:
    """`wait` for the socket, one after the other: the confirm says more, but while the broker
    reads nothing, what is tried again and again must not pile up here."""
    properties = _properties(channel, message, doing)
    async with speaking(doing, timeout_s=None):
        try:
            await channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=message.mandatory,
                wait=wait,
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
            raise fault(error, doing) from error


def _properties(channel: Channel, message: Outgoing, doing: str) -> Basic.Properties:
    """Raises `Unsendable`: a header larger than a frame would cost everybody the connection."""
    properties = Basic.Properties(
        content_type=message.content_type,
        correlation_id=message.correlation_id,
        delivery_mode=_PERSISTENT,
        headers=dict(message.headers),
        message_id=message.message_id,
        reply_to=message.reply_to,
        user_id=user_of(channel.connection) or None,
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
    """A refused message closes the channel for all that are under way; which one was it?"""
    text, exchange = str(error), message.exchange or topology.DEFAULT_EXCHANGE
    if "access to topic '" in text:
        return f"access to topic '{message.routing_key}' in exchange '{exchange}'" in text
    return f"message size {len(message.body)} " in text or f"exchange '{exchange}'" in text


def _forbidden(message: Outgoing, doing: str) -> BrokerError:
    """Tried again where it must arrive: the permission may come back."""
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


async def _announce(channel: Channel, events: Sequence[Event]) -> None:
    """All in one write: what `basic_publish` does for each costs more than the event."""
    drained = channel.create_future()
    properties = Basic.Properties(
        content_type="application/json",
        delivery_mode=_TRANSIENT,
        user_id=user_of(channel.connection) or None,
    )
    frames = [frame for event in events for frame in _announcement(event, properties)]
    await channel.write_queue.put(ChannelFrame.marshall(channel.number, frames, drained))
    await drained


def _announcement(
    event: Event, properties: Basic.Properties
) -> tuple[Basic.Publish, ContentHeader, ContentBody]:
    body = encode(event)
    return (
        Basic.Publish(exchange=topology.EVENTS, routing_key=f"{event.agent}.{event.name}"),
        ContentHeader(body_size=len(body), properties=properties),
        ContentBody(body),
    )


def _unconfirmed(doing: str) -> Unconfirmed:
    return Unconfirmed(
        f"the broker has not confirmed in time; could not {doing} for certain; "
        "publish again with the same message_id"
    )
