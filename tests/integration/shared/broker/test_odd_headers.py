"""Headers that any client may send: they are read as far as possible, and close no connection."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable, Sequence

import pika
import pytest
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from services.agent.delivery.message_ids import MessageIds
from shared.broker.connection import Broker
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import headers, read
from shared.contract import topology
from tests.support.brokers.rabbitmq import Rabbit

SMALLEST_FRAME = 4096
MESSAGES = 200
LEVELS = 4
FLOATS = (0.0, -0.0, 1e-40, -3.4e38)
"""The broker itself ends a connection that brings infinity or no number."""
_HEADERS = 1 << 13

OURS = (b"x-hutch-first-reason", b"x-hutch-first-at", b"x-death", b"x-delivery-count")
"""Names that we read."""
NAMES = (*OURS, b"", b"n" * 255, b"\xff\xfe", "Grüße".encode(), b"a\0b")


class Raw(pika.BasicProperties):
    """Headers in bytes: what no client's encoder would write."""

    def __init__(self, table: bytes) -> None:
        super().__init__()
        self._table = table

    def encode(self) -> list[bytes]:
        return [struct.pack(">H", _HEADERS), sized(self._table)]


def field(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + value


def text(value: bytes) -> bytes:
    return b"S" + struct.pack(">I", len(value)) + value


def odd_value(chance: random.Random, levels: int = LEVELS) -> bytes:
    """A value of any type of the protocol, at its limits or absurd."""

    def inside() -> bytes:
        return b"".join(odd_value(chance, levels - 1) for _ in range(chance.randrange(4)))

    kinds: list[Callable[[], bytes]] = [
        lambda: b"V",
        lambda: b"t" + bytes([chance.randrange(256)]),
        lambda: b"b" + chance.randbytes(1),
        lambda: b"s" + chance.randbytes(2),
        lambda: b"I" + chance.randbytes(4),
        lambda: b"l" + chance.choice([b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7]),
        lambda: b"f" + struct.pack(">f", chance.choice(FLOATS)),
        lambda: b"d" + struct.pack(">d", chance.choice(FLOATS)),
        lambda: b"D" + chance.randbytes(5),
        lambda: b"T" + chance.choice([b"\xff" * 8, b"\0" * 8, chance.randbytes(8)]),
        lambda: text(chance.randbytes(chance.randrange(40))),
        lambda: text("Grüße\0".encode() * chance.randrange(500)),
        lambda: b"x" + struct.pack(">I", 3) + b"\xff\0a",
    ]
    if levels:
        kinds.append(lambda: b"A" + sized(inside()))
        kinds.append(lambda: b"F" + sized(odd_table(chance, levels - 1)))
    return chance.choice(kinds)()


def sized(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def odd_table(chance: random.Random, levels: int = LEVELS) -> bytes:
    names = chance.sample(NAMES, chance.randrange(len(NAMES)))
    return b"".join(field(name, odd_value(chance, levels)) for name in names)


def deep(levels: int) -> bytes:
    value = b"V"
    for _ in range(levels):
        value = b"A" + sized(value)
    return field(b"x-death", value)


async def delivered(broker: Broker, rabbit: Rabbit, tables: Sequence[bytes]) -> list[Delivery]:
    """The messages with these headers, as one connection has received them."""
    consumer = await broker.consumer(topology.mailbox_name("bob"))
    await consumer.start(prefetch=len(tables))
    before = rabbit.connections()
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    channel = connection.channel()
    channel.confirm_delivery()
    for table in tables:
        channel.basic_publish(topology.TASKS, "bob", b"{}", Raw(table))
    connection.close()
    async with asyncio.timeout(60):
        found = [await anext(consumer) for _ in tables]
    assert before <= rabbit.connections()
    assert not any(it.redelivered for it in found)
    return found


def survives(delivery: Delivery) -> None:
    """All that an agent and a command do with headers."""
    said = headers("no sense", delivery.headers, attempts=1 + delivery.redeliveries)
    frame = marshal(ContentHeader(properties=Basic.Properties(headers={**said})), 1)
    assert len(frame) < SMALLEST_FRAME
    dead_letter = read(delivery)
    assert read(delivery).id == dead_letter.id
    assert len(f"{dead_letter.first}{dead_letter.queue}{dead_letter.routing_key}") < SMALLEST_FRAME
    assert MessageIds().id_of(delivery)


@pytest.mark.parametrize("seed", range(2))
async def test_a_message_with_any_headers_is_delivered_once_and_can_be_refused(
    broker: Broker, rabbit: Rabbit, seed: int
) -> None:
    chance = random.Random(seed)
    tables = [odd_table(chance) for _ in range(MESSAGES)]
    for delivery in await delivered(broker, rabbit, tables):
        survives(delivery)


async def test_headers_at_the_limits_of_the_protocol_are_read_as_far_as_they_go(
    broker: Broker, rabbit: Rabbit
) -> None:
    most = b"l" + struct.pack(">q", 2**63 - 1)
    tables = [
        field(b"x-delivery-count", most),
        field(b"x-hutch-first-reason", text(b"x" * 130_000)),
        deep(10_000),
        deep(100),
    ]
    counted, long, deeper, deep_ = await delivered(broker, rabbit, tables)
    assert (counted.headers, counted.redeliveries) == ({"x-delivery-count": 2**63 - 1}, 0)
    assert len(str(long.headers["x-hutch-first-reason"])) == 130_000
    assert (deeper.headers, deep_.headers) == ({}, {})
    for delivery in (counted, long, deeper, deep_):
        survives(delivery)
