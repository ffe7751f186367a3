"""The interface to the broker that all other packages use."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from aio_pika import Connection
from aiormq.exceptions import ChannelNotFoundEntity
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_delay,
    wait_fixed,
)

from shared.broker.browse import browsing
from shared.broker.consumer import Consumer, Delivery
from shared.broker.declare import DECLARE_TIMEOUT_S, declare, delete, one_channel, unbind
from shared.broker.errors import broker_request
from shared.broker.inspection import Inspection, inspect, may_publish, may_read
from shared.broker.link import Link
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.tolerant_decoding import decode_tolerantly
from shared.contract.entities import Binding, Exchange, Queue, Topology
from shared.errors import BrokerError, BrokerUnavailable, Unconfirmed
from shared.settings.secrets import Address

PROBE_TIMEOUT_S = 2.0
"""A healthy broker confirms a message that reaches no queue in milliseconds."""

RETRY_S = 0.5
"""Seconds between two attempts to declare while a broker is still starting."""

UNANSWERED = 2
"""After so many requests in a row that a replaceable queue has not answered, it is replaced. An
election of its leader takes less time."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class QueueDepth:
    messages: int
    """Ready for delivery; those delivered and not acknowledged are not counted."""
    consumers: int


class Broker:
    """Publishes on one connection and consumes on another, so that a broker that blocks publishers
    still delivers messages and accepts acks. `Publisher` opens two more when they are needed.

    After a connection is lost, or the broker cancels a consumer, all topologies are declared again
    in the same order; then started consumers are started again. A queue that does not respond holds
    up no other one.
    """

    def __init__(self, publishing: Link, consuming: Link, publisher: Publisher, wait_s: float):
        self.publisher = publisher
        self._publishing = publishing
        self._consuming = consuming
        self._wait_s = wait_s
        self._declared: list[Topology] = []
        self._bound: set[Binding] = set()
        self._consumers: list[Consumer] = []
        self._unanswered: Counter[str] = Counter()
        """The requests in a row that a queue has not answered."""
        consuming.restore = self._restore

    @property
    def connected(self) -> bool:
        """Whether both connections are up, with their topologies and consumers restored."""
        return self._publishing.ready and self._consuming.ready

    async def blocked(self) -> bool:
        """Whether the broker accepts no messages now, because its memory or disk is short."""
        return await self._publishing.blocked()

    async def version(self) -> str:
        """The name and version of the broker, as it states them when a connection is opened."""
        transport = (await self._consuming.connection()).transport
        said = transport.connection.server_properties if transport else {}
        names = (said.get(name) for name in ("product", "version"))
        return " ".join(it.decode() if isinstance(it, bytes) else str(it) for it in names)

    async def declare(self, topology: Topology) -> None:
        """Declare a topology now and after each reconnect.

        Exclusive queues belong to the consuming connection. While the broker is unreachable or
        starting, this waits as long as `connect` does. What our user may not declare must exist.
        Raises `BrokerError` that names what is missing or exists with other arguments; this
        topology is then not declared after a reconnect.
        """

        async def attempt() -> None:
            async with broker_request("declare the topology", DECLARE_TIMEOUT_S):
                await declare(await self._consuming.connection(), topology)

        await self._retried(attempt)
        self._declared.append(topology)

    async def bind(self, *bindings: Binding) -> None:
        """Bind declared queues now and after each reconnect, until `unbind`.

        Without a connection they are bound when that is restored. Raises `BrokerError` when the
        broker refuses one; none of them is bound after a reconnect then.
        """
        self._bound.update(bindings)
        try:
            async with broker_request("bind queues", DECLARE_TIMEOUT_S):
                await declare(await self._consuming.connection(), Topology(bindings=bindings))
        except BrokerUnavailable:
            pass
        except BrokerError:
            self._bound.difference_update(bindings)
            raise

    async def unbind(self, *bindings: Binding) -> None:
        """End what `bind` has begun; raises nothing. A binding also ends with its queue."""
        self._bound.difference_update(bindings)
        with suppress(BrokerError):
            async with broker_request("unbind queues", DECLARE_TIMEOUT_S):
                await unbind(await self._consuming.connection(), bindings)

    async def consumer(self, queue: str) -> Consumer:
        """A consumer of this queue, with its own channel; it consumes after `start`."""
        consumer = Consumer(queue, self._consuming.repair)

        async def attempt() -> None:
            async with broker_request(f"open a channel for '{queue}'"):
                await consumer.resume(await self._consuming.connection())

        await self._retried(attempt)
        self._consumers.append(consumer)
        return consumer

    async def _retried(self, attempt: Callable[[], Awaitable[None]]) -> None:
        async for trial in AsyncRetrying(
            retry=retry_if_exception_type(BrokerUnavailable),
            wait=wait_fixed(RETRY_S),
            stop=stop_after_delay(self._wait_s),
            before_sleep=_log_first_failure,
            reraise=True,
        ):
            with trial:
                await attempt()

    async def depth(self, queue: str) -> QueueDepth | None:
        """The number of messages and consumers of a queue; None if there is no such queue."""
        async with broker_request(f"look at the queue '{queue}'"):
            try:
                async with one_channel(await self._consuming.connection()) as channel:
                    found = await channel.queue_declare(queue, passive=True)
            except ChannelNotFoundEntity:
                return None
        return QueueDepth(found.message_count or 0, found.consumer_count or 0)

    async def has_exchange(self, name: str) -> bool:
        """Whether the broker has this exchange."""
        async with broker_request(f"look at the exchange '{name}'"):
            try:
                async with one_channel(await self._consuming.connection()) as channel:
                    await channel.exchange_declare(name, passive=True)
            except ChannelNotFoundEntity:
                return False
        return True

    async def takes_messages(self) -> bool:
        """Whether the broker confirms messages now; under a memory or disk alarm it doesn't.

        Publishes two messages to a queue that doesn't exist: a broker with an alarm still reads a
        connection's first message before it blocks the connection.
        """
        nowhere = f"probe.{uuid4().hex}"
        try:
            for number in "12":
                probe = Outgoing("", nowhere, b"", f"{nowhere}.{number}", mandatory=False)
                await self.publisher.publish(probe, PROBE_TIMEOUT_S)
        except (Unconfirmed, BrokerUnavailable):
            return False
        return True

    async def inspect(self, entity: Exchange | Queue) -> Inspection:
        """See `inspection.inspect`."""
        return await inspect(await self._consuming.connection(), entity)

    async def may_publish(self, exchange: str, routing_key: str) -> bool:
        """See `inspection.may_publish`."""
        return await may_publish(await self._consuming.connection(), exchange, routing_key)

    async def may_read(self, queue: str) -> bool:
        """See `inspection.may_read`."""
        return await may_read(await self._consuming.connection(), queue)

    def browse(self, queue: str) -> AbstractAsyncContextManager[list[Delivery]]:
        """See `browsing`."""
        return browsing(self._consuming, queue)

    async def _restore(self, connection: Connection) -> None:
        await self._delete_unresponsive(connection)
        for topology in self._declared:
            await declare(connection, topology)
        await declare(connection, Topology(bindings=tuple(self._bound)))
        self._consumers = [consumer for consumer in self._consumers if not consumer.closed]
        resumed = (self._resume(consumer, connection) for consumer in self._consumers)
        for outcome in await asyncio.gather(*resumed, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _resume(self, consumer: Consumer, connection: Connection) -> None:
        try:
            await consumer.resume(connection)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, TimeoutError):
                self._unanswered[consumer.queue] += 1
            raise
        del self._unanswered[consumer.queue]

    async def _delete_unresponsive(self, connection: Connection) -> None:
        """A broker that is killed while it creates a quorum queue can leave it without a leader for
        ever (RabbitMQ 3.10 and 4.0): it can be declared, but neither consumed nor published to."""
        queues = [queue for topology in self._declared for queue in topology.queues]
        for queue in queues:
            if queue.replaceable and self._unanswered[queue.name] >= UNANSWERED:
                _log.warning("the queue '%s' does not respond: it is replaced", queue.name)
                await delete(connection, queue.name)
                del self._unanswered[queue.name]

    def _end(self) -> None:
        for consumer in self._consumers:
            consumer.end()


@asynccontextmanager
async def connect(address: Address, name: str, *, wait_s: float = 0) -> AsyncIterator[Broker]:
    """A connected broker for the time of the context; the broker's management shows `name`.

    Raises `BrokerUnavailable` when no broker answers within `wait_s`, and at once `BrokerError` if
    the broker refuses the user, vhost or certificate. Later declarations wait as long. Lost
    connections are restored in the background. A bug in the jobs that restore them cancels the
    block, and the context raises the bug's error.
    """
    decode_tolerantly()
    logged: set[str] = set()
    publishing = Link(address, f"{name} publishes", logged)
    consuming = Link(address, f"{name} consumes", logged)
    direct = Link(address, f"{name} replies", logged)
    silent = Link(address, f"{name} publishes to silent queues", logged)
    links = (publishing, consuming, direct, silent)
    publisher = Publisher(publishing, direct, silent)
    jobs: list[asyncio.Task[None]] = []
    try:
        await publishing.open(wait_s)
        await consuming.open(wait_s)
        broker = Broker(publishing, consuming, publisher, wait_s)
        work = [link.keep() for link in links]
        work += [publisher.send_events(), publisher.send_texts(), publisher.renew_silent()]
        jobs = [asyncio.create_task(job) for job in work]
        caller = asyncio.current_task()
        for job in jobs:
            job.add_done_callback(lambda ended: _cancel_if_failed(ended, caller))
        try:
            yield broker
        finally:
            broker._end()
    finally:
        for job in jobs:
            job.cancel()
        ended = await asyncio.gather(*jobs, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in links))
        for outcome in ended:
            if isinstance(outcome, Exception):
                raise outcome  # a bug: these jobs handle every error of the broker


def _log_first_failure(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        _log.warning("%s", state.outcome.exception())


def _cancel_if_failed(ended: asyncio.Task[None], caller: asyncio.Task[object] | None) -> None:
    """Cancel the caller if a job has failed: a lost connection would silently stay lost."""
    if caller is not None and not ended.cancelled() and ended.exception():
        caller.cancel()
