"""Inspecting the broker without changing it: what exists there, and what our user may do."""

from __future__ import annotations

from dataclasses import dataclass

from aio_pika import Connection
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)
from pamqp.commands import Basic

from shared.broker.declare import one_channel, send_declare
from shared.broker.errors import broker_error, broker_request
from shared.contract.entities import Exchange, Queue

REFUSED_EXPIRATION = "none"
"""An expiration that is no number: the broker refuses such a message after it has checked the
user's rights, so it is never published."""


@dataclass(frozen=True)
class Inspection:
    """`compared`: our user may declare it, and so the broker has compared the arguments."""

    exists: bool
    compared: bool = False
    difference: str = ""
    """A sentence, empty if there is none."""


async def inspect(connection: Connection, it: Exchange | Queue) -> Inspection:
    """Compare an exchange or queue with the one on the broker. Declares none that is missing."""
    async with broker_request(f"look at '{it.name}'"):
        try:
            async with one_channel(connection) as channel:
                await send_declare(it, channel, passive=True)
        except ChannelNotFoundEntity:
            return Inspection(exists=False)
        try:
            async with one_channel(connection) as channel:
                await send_declare(it, channel, passive=False)
        except ChannelAccessRefused:
            return Inspection(exists=True)
        except ChannelPreconditionFailed as error:
            return Inspection(True, True, str(broker_error(error, f"declare '{it.name}'")))
    return Inspection(exists=True, compared=True)


async def may_publish(connection: Connection, exchange: str, routing_key: str) -> bool:
    """Whether our user may publish to the exchange with this key; True also without the exchange.

    Nothing is published, see `REFUSED_EXPIRATION`.
    """
    async with broker_request(f"look at the rights to '{exchange}'"):
        try:
            async with one_channel(connection) as channel:
                await channel.basic_publish(
                    b"",
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=Basic.Properties(expiration=REFUSED_EXPIRATION),
                )
                await channel.basic_qos(prefetch_count=1)  # its reply comes after the refusal
        except ChannelAccessRefused:
            return False
        except (ChannelPreconditionFailed, ChannelNotFoundEntity):
            return True
    return True


async def may_read(connection: Connection, queue: str) -> bool:
    """Whether our user may read the queue; True also without the queue.

    A message that is got for this returns to its place.
    """
    async with broker_request(f"look at the rights to '{queue}'"):
        try:
            async with one_channel(connection) as channel:
                await channel.basic_get(queue)
        except ChannelAccessRefused:
            return False
        except ChannelNotFoundEntity:
            return True
    return True
