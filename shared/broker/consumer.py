"""Consuming of a queue, as a stream of deliveries that continues after a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from aio_pika import Connection
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from shared.broker.declare import plain_channel
from shared.broker.errors import broker_request, user_in
from shared.errors import BrokerError, BrokerUnavailable

MOST_REDELIVERIES = 2**31
"""A larger count was not set by a broker."""


@dataclass(frozen=True)
class Delivery:
    """One message as the broker delivers it. The job that takes it from the stream must ack it or
    give it back, exactly once."""

    body: bytes
    message_id: str | None
    correlation_id: str | None
    reply_to: str | None
    content_type: str | None
    headers: Mapping[str, object]
    redelivered: bool
    exchange: str
    routing_key: str
    queue: str
    user_id: str | None
    """The user that published it, None if the message names none; the broker verifies the name."""
    received_as: str
    """The broker's user of this process."""
    app_id: str | None
    timestamp: datetime | None
    expiration: str | None
    """Milliseconds after which the broker would have dropped it."""
    _channel: AbstractChannel = field(repr=False)
    _tag: int = field(repr=False)

    @property
    def redeliveries(self) -> int:
        """The earlier deliveries by the broker's count; any client can set this header."""
        count = self.headers.get("x-delivery-count")
        return count if isinstance(count, int) and 0 < count < MOST_REDELIVERIES else 0

    @property
    def gone(self) -> bool:
        """Whether its channel is closed: it can't be acked, and the broker delivers it again."""
        return self._channel.is_closed

    async def ack(self) -> bool:
        """Send the ack. False if the channel is closed: the broker delivers the message again.

        If the ack can't be sent in time, the channel is closed; otherwise the broker would wait for
        the ack until the process ends. After True the ack can still be lost with its connection,
        see `acked_for_certain`.
        """
        try:
            async with broker_request("acknowledge a message"):
                await self._channel.basic_ack(self._tag)
        except BrokerError:
            await _close_channel(self._channel)
            return False
        return True

    async def give_back(self) -> None:
        """Return the message to its queue; the broker counts the next delivery as a redelivery."""
        try:
            async with broker_request("give back a message"):
                await self._channel.basic_nack(self._tag, requeue=True)
        except BrokerError:
            await _close_channel(self._channel)

    async def acked_for_certain(self) -> bool:
        """Whether the broker has received the ack that was sent. False: it is not known.

        The broker handles the requests of a channel in order, so its reply to a later request
        proves that the ack has arrived.
        """
        try:
            async with broker_request("ask whether an ack has arrived"):
                await self._channel.flow(active=True)
        except BrokerError:
            return False
        return True


class Consumer:
    """A stream of deliveries, to be iterated over by one job.

    After a reconnect, a started consumer is started again and a stopped one stays stopped.
    Deliveries stay in the stream after a stop or a lost connection.

    It consumes on a plain channel, not with aio-pika's `Queue.consume`. That one builds an
    `IncomingMessage`, which fails for a `delivery_mode` of 7, and the message would stay
    unacknowledged; and it does not report that the broker has cancelled the consumer.
    """

    def __init__(self, queue: str, repair: Callable[[], None]) -> None:
        self.queue = queue
        self.closed = False
        self._repair = repair
        self._stream: asyncio.Queue[Delivery | None] = asyncio.Queue()
        self._channel: AbstractChannel | None = None
        self._prefetch: int | None = None
        self._tag: str | None = None
        self._changing = asyncio.Lock()
        self._has_begun = False

    @property
    def consuming(self) -> bool:
        """Whether the broker has this consumer on the queue now."""
        return self._tag is not None and self._open

    @property
    def waiting(self) -> int:
        """The number of deliveries in the stream."""
        return self._stream.qsize()

    def get_nowait(self) -> Delivery | None:
        """The next delivery, or None when the stream is empty."""
        return None if self._stream.empty() or self.closed else self._stream.get_nowait()

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Delivery:
        delivery = await self._stream.get()
        if delivery is None:
            self.end()
            raise StopAsyncIteration
        return delivery

    async def start(self, prefetch: int) -> None:
        """Consume with at most `prefetch` messages unacknowledged. A call that changes nothing
        sends nothing.

        Without a connection, consuming starts when the connection is restored. Raises `BrokerError`
        when the broker refuses the first start, for instance because there is no such queue; the
        consumer is then not started. After a later refusal the topology is declared again, until
        the start succeeds.
        """
        async with self._changing:
            if self.consuming and prefetch == self._prefetch:
                return
            await self._cancel()
            self._prefetch = prefetch
            try:
                await self._consume()
            except BrokerError as error:
                if not (self._has_begun or isinstance(error, BrokerUnavailable)):
                    self._prefetch = None
                    raise
                self._repair()

    async def stop(self) -> None:
        """Stop new deliveries; deliveries in the stream must still be acked."""
        async with self._changing:
            self._prefetch = None
            await self._cancel()

    async def close(self) -> None:
        """Stop, give unacknowledged messages back to the queue and end the iteration."""
        await self.stop()
        self.end()
        if self._channel is not None:
            await _close_channel(self._channel)

    def end(self) -> None:
        """End the iteration."""
        self.closed = True
        self._stream.put_nowait(None)

    async def resume(self, connection: Connection) -> None:
        """Open the channel and consume again, as needed. Called for each new connection, and
        after each loss of a channel or consumer."""
        async with self._changing, broker_request(f"consume from '{self.queue}'"):
            if not self._open:
                self._tag = None
                self._channel = await plain_channel(connection)
                self._channel.on_consumer_cancel_callbacks.add(self._cancelled)
                self._channel.closing.add_done_callback(self._gone)
            if self._prefetch is not None and self._tag is None:
                await self._consume()

    @property
    def _open(self) -> bool:
        return self._channel is not None and not self._channel.is_closed

    async def _consume(self) -> None:
        if self._channel is None or self._prefetch is None:
            return
        try:
            async with broker_request(f"consume from '{self.queue}'"):
                await self._channel.basic_qos(prefetch_count=self._prefetch)
                begun = await self._channel.basic_consume(self.queue, self._hand_over)
        except BrokerUnavailable:
            self._channel = None  # aiormq is closing it, which the broker may never confirm
            raise
        self._tag, self._has_begun = begun.consumer_tag, True

    async def _cancel(self) -> None:
        tag, self._tag = self._tag, None
        if tag is None or self._channel is None:
            return
        try:
            async with broker_request(f"stop consuming from '{self.queue}'"):
                await self._channel.basic_cancel(tag)
        except BrokerError:
            return  # the consumer has ended with its channel

    def _cancelled(self, _: Basic.Cancel) -> None:
        self._tag = None
        self._repair()

    def _gone(self, _: asyncio.Future[object]) -> None:
        if not self.closed:
            self._repair()

    async def _hand_over(self, message: DeliveredMessage) -> None:
        self._stream.put_nowait(delivery_of(message, self.queue))


async def _close_channel(channel: AbstractChannel) -> None:
    if channel.is_closed:
        return
    try:
        async with broker_request("close a channel"):
            await channel.close()
    except BrokerError:
        return  # a lost channel is closed too


def delivery_of(message: DeliveredMessage, queue: str) -> Delivery:
    """The `Delivery` for a message of aiormq."""
    properties = message.header.properties
    return Delivery(
        body=message.body,
        message_id=properties.message_id,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        content_type=properties.content_type,
        headers=properties.headers if isinstance(properties.headers, dict) else {},
        redelivered=bool(message.redelivered),
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        queue=queue,
        user_id=properties.user_id,
        received_as=user_in(message.channel.connection.url),
        app_id=properties.app_id,
        timestamp=properties.timestamp,
        expiration=properties.expiration,
        _channel=message.channel,
        _tag=message.delivery_tag or 0,
    )
