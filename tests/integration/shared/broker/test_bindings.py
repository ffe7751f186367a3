"""Bindings that come and go while a connection is used."""

from __future__ import annotations

import asyncio

from shared.broker.connection import Broker, connect
from shared.contract import topology
from shared.contract.entities import Binding
from shared.contract.messages import run_id
from shared.contract.stream import StreamPart
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import lose_connections, until

INSTANCE = "gateway.0123abcd"
QUEUE = topology.gateway_texts_name(INSTANCE)


def said(broker: Broker, root_id: str, text: str) -> None:
    part = StreamPart(run_id=run_id("a", "t"), epoch=1, attempt=1, turn=1, sequence=0, text=text)
    broker.publisher.stream(root_id, part)


async def test_a_queue_gets_the_texts_of_the_roots_that_it_is_bound_to_also_after_a_reconnect(
    rabbit: Rabbit,
) -> None:
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(topology.system() + topology.gateway(INSTANCE))
        consumer = await broker.consumer(QUEUE)
        await consumer.start(10)
        for root_id in ("one", "two"):
            await broker.bind(Binding(topology.STREAM, QUEUE, root_id))
        await broker.unbind(Binding(topology.STREAM, QUEUE, "two"))
        await lose_connections(rabbit, broker)
        async with asyncio.timeout(30):
            for number in range(2):
                for root_id in ("two", "three", "one"):
                    said(broker, root_id, f"{root_id} {number}")
                part = StreamPart.model_validate_json((await anext(consumer)).body)
                assert part.text == f"one {number}"


async def test_a_binding_without_a_connection_is_made_when_that_is_restored(
    rabbit: Rabbit,
) -> None:
    async with connect(rabbit.url, "test") as broker:
        await broker.declare(topology.system() + topology.gateway(INSTANCE))
        consumer = await broker.consumer(QUEUE)
        await consumer.start(10)
        with rabbit.stopped():
            binding = asyncio.create_task(broker.bind(Binding(topology.STREAM, QUEUE, "one")))
            await asyncio.sleep(1)
        await binding
        async with asyncio.timeout(30):
            await until(lambda: broker.connected)
            said(broker, "one", "Hello")
            await anext(consumer)
