"""Ids for messages without one, on a real broker: what is delivered again keeps its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest_asyncio

from services.agent.delivery.message_ids import MessageIds
from shared.broker.connection import Broker
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.contract import topology
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import lose_connections

TASK = Outgoing(topology.TASKS, "bob", b"Write.", "not shown", correlation_id="c1")


@pytest_asyncio.fixture
async def mailbox(broker: Broker) -> AsyncIterator[Consumer]:
    consumer = await broker.consumer(topology.mailbox_name("bob"))
    await consumer.start(prefetch=10)
    yield consumer
    await consumer.close()


async def taken(mailbox: Consumer, count: int) -> list[Delivery]:
    async with asyncio.timeout(30):
        return [await anext(mailbox) for _ in range(count)]


async def send(broker: Broker, count: int) -> None:
    """Equal messages: our publisher gives each an id, which fingerprints don't see."""
    for number in range(count):
        await broker.publisher.publish(replace(TASK, message_id=str(number)))


async def test_two_equal_messages_that_come_for_the_first_time_are_two_tasks(
    broker: Broker, mailbox: Consumer
) -> None:
    await send(broker, 2)
    ids, (one, two) = MessageIds(), await taken(mailbox, 2)
    assert ids.id_of(one) == ids.id_of(one)
    assert ids.id_of(one) != ids.id_of(two)


async def test_deliveries_that_come_again_keep_their_ids_however_often(
    broker: Broker, mailbox: Consumer, rabbit: Rabbit
) -> None:
    await send(broker, 2)
    ids = MessageIds()
    drawn = {ids.id_of(it) for it in await taken(mailbox, 2)}
    for _ in range(3):
        await lose_connections(rabbit, broker)
        again = await taken(mailbox, 2)
        assert {ids.id_of(it) for it in again} == drawn


async def test_an_ack_that_was_lost_is_no_new_task_and_one_that_arrived_is_forgotten(
    broker: Broker, mailbox: Consumer, rabbit: Rabbit
) -> None:
    await send(broker, 2)
    ids, (lost, kept) = MessageIds(), await taken(mailbox, 2)
    drawn = [ids.id_of(lost), ids.id_of(kept)]
    assert await kept.ack()
    await ids.acked(kept)
    await lose_connections(rabbit, broker)
    await ids.acked(lost)
    (again,) = await taken(mailbox, 1)
    assert ids.id_of(again) == drawn[0]
    await send(broker, 1)
    await taken(mailbox, 1)  # another replica, say, gets it first: no id is drawn for it here
    await lose_connections(rabbit, broker)
    found = {ids.id_of(it) for it in await taken(mailbox, 2)}
    assert drawn[0] in found
    assert drawn[1] not in found


async def test_the_number_of_remembered_ids_is_bounded(broker: Broker, mailbox: Consumer) -> None:
    await send(broker, 3)
    ids, (first, second, third) = MessageIds(most=2), await taken(mailbox, 3)
    drawn = [ids.id_of(it) for it in (first, second, third)]
    assert [ids.id_of(second), ids.id_of(third)] == drawn[1:]
    assert ids.id_of(first) != drawn[0]


async def test_an_id_that_is_dropped_while_its_ack_is_confirmed_causes_no_error(
    broker: Broker, mailbox: Consumer
) -> None:
    await send(broker, 2)
    ids, (first, second) = MessageIds(most=1), await taken(mailbox, 2)
    ids.id_of(first)
    assert await first.ack()
    making_certain = asyncio.create_task(ids.acked(first))
    await asyncio.sleep(0)
    ids.id_of(second)
    await making_certain
