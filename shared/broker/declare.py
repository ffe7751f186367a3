"""Declaring a topology, or checking that it exists where our user may not declare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from aio_pika import Connection
from aiormq.abc import AbstractChannel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
)

from shared.broker.errors import RPC_TIMEOUT_S, broker_request, user_in
from shared.contract.entities import Binding, Exchange, Queue, Topology
from shared.errors import BrokerUnavailable, Forbidden

DECLARE_TIMEOUT_S = 30.0
"""The time for a whole topology: the first quorum queues of a new broker take seconds."""


async def declare(connection: Connection, topology: Topology) -> None:
    """Declare exchanges, queues and bindings in the topology's order. Those that our user may not
    declare must exist already, with their bindings.

    Raises `BrokerError` that names what is missing or exists with other arguments, and
    `BrokerUnavailable` if something was deleted meanwhile.
    """
    found: set[str] = set()
    entities: tuple[Exchange | Queue, ...] = (*topology.exchanges, *topology.queues)
    async with (
        broker_request("declare the topology", DECLARE_TIMEOUT_S),
        AsyncExitStack() as channels,
    ):
        channel = await channels.enter_async_context(one_channel(connection))
        for it in entities:
            if not await _declared(channel, it):
                # The refusal has closed the channel.
                channel = await channels.enter_async_context(one_channel(connection))
                await _check_exists(connection, it)
                found.add(it.name)
        for binding in topology.bindings:
            if binding.queue not in found:  # else it exists already, with its bindings
                await _bind(channel, binding)


async def delete(connection: Connection, queue: str) -> None:
    """Delete a queue with its messages; RabbitMQ needs five seconds for one without a leader."""
    async with broker_request(f"delete the queue '{queue}'"), one_channel(connection) as channel:
        await channel.queue_delete(queue)


async def unbind(connection: Connection, bindings: Iterable[Binding]) -> None:
    """Remove bindings; one that does not exist is no error."""
    async with one_channel(connection) as channel:
        for it in bindings:
            await channel.queue_unbind(it.queue, it.exchange, it.routing_key)


@asynccontextmanager
async def one_channel(connection: Connection) -> AsyncIterator[AbstractChannel]:
    """A channel for one request: a refusal closes it, and no other request is affected."""
    channel = await plain_channel(connection)
    try:
        yield channel
    finally:
        await channel.close()


async def plain_channel(connection: Connection) -> AbstractChannel:
    """A channel without confirms that may be opened and closed any number of times.

    It belongs to the underlying aiormq connection: aio-pika 10.2 keeps 4 KB for each of its own
    channels until the connection ends, which adds up where refusals keep closing them.
    """
    if connection.transport is None:
        raise ChannelInvalidStateError("the connection is closed")
    underlay = connection.transport.connection
    return await underlay.channel(publisher_confirms=False, timeout=RPC_TIMEOUT_S)


async def _declared(channel: AbstractChannel, it: Exchange | Queue) -> bool:
    """Declare it; False if our user may not, and then the broker has closed the channel."""
    async with broker_request(f"declare the {_kind(it)} '{it.name}'"):
        try:
            await send_declare(it, channel, passive=False)
        except ChannelAccessRefused:
            return False
    return True


async def _check_exists(connection: Connection, it: Exchange | Queue) -> None:
    async with broker_request(f"look at the {_kind(it)} '{it.name}'"):
        try:
            async with one_channel(connection) as channel:
                await send_declare(it, channel, passive=True)
        except ChannelNotFoundEntity as error:
            raise Forbidden(
                f"the broker has no {_kind(it)} '{it.name}', and its user "
                f"'{user_in(connection.url)}' may not declare it: import what 'hutch topology' "
                "prints"
            ) from error


async def _bind(channel: AbstractChannel, it: Binding) -> None:
    async with broker_request(f"bind the queue '{it.queue}' to '{it.exchange}'"):
        try:
            await channel.queue_bind(it.queue, it.exchange, it.routing_key)
        except ChannelNotFoundEntity as error:
            # It was declared a moment ago; an `auto_delete` one is deleted with its last binding.
            raise BrokerUnavailable(
                f"the broker has no exchange '{it.exchange}' or queue '{it.queue}' any more; "
                "try again"
            ) from error


def _kind(it: Exchange | Queue) -> str:
    return "queue" if isinstance(it, Queue) else "exchange"


async def send_declare(it: Exchange | Queue, channel: AbstractChannel, *, passive: bool) -> None:
    """One request. A passive one checks only that it exists, and needs no right to declare it."""
    if isinstance(it, Queue):
        await channel.queue_declare(
            it.name,
            passive=passive,
            durable=it.durable,
            exclusive=it.exclusive,
            arguments=dict(it.arguments),
        )
    else:
        await channel.exchange_declare(
            it.name,
            exchange_type=it.type,
            passive=passive,
            durable=it.durable,
            auto_delete=it.auto_delete,
            arguments=dict(it.arguments),
        )
