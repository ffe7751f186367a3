import asyncio
from collections.abc import AsyncIterator

import pika
import pytest
import pytest_asyncio
from pika.exceptions import ChannelClosedByBroker

from shared.broker.connection import Broker, QueueDepth
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.errors import BrokerError
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import lose_connections, until

MAILBOX = topology.mailbox_name("bob")


def task(message_id: str) -> Outgoing:
    return Outgoing(
        topology.TASKS,
        "bob",
        b'{"content": "hello"}',
        message_id,
        correlation_id="c1",
        reply_to="reply.alice.i1",
        headers={"hops": 1, "by": "alice"},
    )


@pytest_asyncio.fixture
async def consumer(broker: Broker) -> AsyncIterator[Consumer]:
    consumer = await broker.consumer(MAILBOX)
    yield consumer
    await consumer.close()


async def taken(consumer: Consumer) -> Delivery:
    return await asyncio.wait_for(anext(consumer), timeout=30)


async def has(broker: Broker, depth: QueueDepth) -> None:
    async def reached() -> bool:
        return await broker.depth(MAILBOX) == depth

    await until(reached)


@pytest.mark.essential
async def test_a_published_message_is_delivered_with_all_its_fields(
    broker: Broker, consumer: Consumer
) -> None:
    await consumer.start(prefetch=1)
    await broker.publisher.publish(task("t1"))
    delivery = await taken(consumer)
    assert (delivery.body, delivery.message_id) == (b'{"content": "hello"}', "t1")
    assert (delivery.correlation_id, delivery.reply_to) == ("c1", "reply.alice.i1")
    assert delivery.headers == {"hops": 1, "by": "alice"}
    assert (delivery.exchange, delivery.routing_key) == (topology.TASKS, "bob")
    assert (delivery.queue, delivery.redelivered) == (MAILBOX, False)
    assert await delivery.ack()
    await consumer.close()
    await has(broker, QueueDepth(0, 0))


async def test_prefetch_bounds_the_unacked_deliveries(broker: Broker, consumer: Consumer) -> None:
    for number in range(3):
        await broker.publisher.publish(task(f"t{number}"))
    await consumer.start(prefetch=2)
    await has(broker, QueueDepth(1, 1))
    await consumer.start(prefetch=3)
    await until(lambda: consumer.waiting == 3)


async def test_a_consumer_is_stopped_and_started_again(broker: Broker, consumer: Consumer) -> None:
    for number in range(5):
        await consumer.start(prefetch=1)
        await broker.publisher.publish(task(f"t{number}"))
        assert await (await taken(consumer)).ack()
        await consumer.stop()
        assert not consumer.consuming
    await broker.publisher.publish(task("later"))
    await has(broker, QueueDepth(1, 0))
    assert consumer.get_nowait() is None


async def test_deliveries_from_before_a_stop_can_be_acked(
    broker: Broker, consumer: Consumer
) -> None:
    await consumer.start(prefetch=2)
    await broker.publisher.publish(task("t1"))
    await until(lambda: consumer.waiting == 1)
    await consumer.stop()
    delivery = consumer.get_nowait()
    assert delivery is not None
    assert await delivery.ack()


@pytest.mark.essential
async def test_a_lost_connection_redelivers_and_refuses_the_old_ack(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    await consumer.start(prefetch=2)
    await broker.publisher.publish(task("t1"))
    before = await taken(consumer)
    rabbit.close_connections()
    again = await taken(consumer)
    assert again.redelivered
    assert not await before.ack()
    assert await again.ack()


async def test_a_stopped_consumer_stays_stopped_after_a_loss(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    await consumer.start(prefetch=1)
    await consumer.stop()
    await lose_connections(rabbit, broker)
    await has(broker, QueueDepth(0, 0))
    assert not consumer.consuming


async def test_a_start_without_a_connection_begins_when_it_is_back(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    with rabbit.stopped():
        await until(lambda: not broker.connected)
        await consumer.start(prefetch=1)
    await until(lambda: consumer.consuming)


@pytest.mark.essential
async def test_after_a_restart_of_the_broker_all_is_consumed_again(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    await broker.declare(topology.control("bob", "i1") + topology.store_mark("bob", "s", "i1"))
    control = await broker.consumer("control.i1")
    await control.start(prefetch=10)
    await consumer.start(prefetch=1)
    with rabbit.stopped():
        await until(lambda: not consumer.consuming)
    await until(lambda: consumer.consuming and control.consuming)
    await broker.publisher.publish(Outgoing(topology.CONTROL, "shutdown.bob", b"{}", "s1"))
    await broker.publisher.publish(task("t1"))
    assert (await taken(control)).message_id == "s1"
    assert (await taken(consumer)).message_id == "t1"


async def test_a_deleted_queue_is_declared_and_consumed_again(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    await consumer.start(prefetch=1)
    rabbit.ctl("delete_queue", "-p", rabbit.vhost, MAILBOX)
    await has(broker, QueueDepth(0, 1))
    await broker.publisher.publish(task("t1"))
    assert (await taken(consumer)).message_id == "t1"


async def test_a_queue_that_was_deleted_while_its_consumer_was_stopped_is_declared_again(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    await consumer.start(prefetch=1)
    await consumer.stop()
    rabbit.ctl("delete_queue", "-p", rabbit.vhost, MAILBOX)
    await consumer.start(prefetch=1)
    await has(broker, QueueDepth(0, 1))
    await broker.publisher.publish(task("t1"))
    assert (await taken(consumer)).message_id == "t1"


async def test_a_queue_that_does_not_exist_cannot_be_consumed(broker: Broker) -> None:
    missing = await broker.consumer("agent.nobody")
    with pytest.raises(BrokerError, match=r"no queue 'agent\.nobody'"):
        await missing.start(prefetch=1)
    await broker.declare(topology.mailbox("nobody"))
    await missing.start(prefetch=1)
    await until(lambda: missing.consuming)


async def test_a_closed_consumer_ends_its_stream(broker: Broker, consumer: Consumer) -> None:
    await consumer.close()
    assert [delivery async for delivery in consumer] == []


async def test_absurd_properties_close_no_connection(consumer: Consumer, rabbit: Rabbit) -> None:
    await consumer.start(prefetch=1)
    before = rabbit.connections()
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    properties = pika.BasicProperties(timestamp=2**62, message_id="t1")
    connection.channel().basic_publish(topology.TASKS, "bob", b"{}", properties)
    connection.close()
    delivery = await taken(consumer)
    assert delivery.message_id == "t1"
    assert delivery.timestamp is None
    assert before <= rabbit.connections()


async def test_an_unknown_delivery_mode_is_delivered_and_can_be_acked(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    """aio-pika can't build its own message of it, which would stay unacknowledged for good."""
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(message_id="t1")
    properties.delivery_mode = 7  # type: ignore[assignment]  # what no client should send
    if rabbit.version.startswith("3"):
        with pytest.raises(ChannelClosedByBroker, match="delivery_mode_unknown"):
            channel.basic_publish(topology.TASKS, "bob", b"{}", properties)
        connection.close()
        return
    channel.basic_publish(topology.TASKS, "bob", b"{}", properties)
    connection.close()
    await consumer.start(prefetch=1)
    delivery = await taken(consumer)
    assert delivery.message_id == "t1"
    assert await delivery.ack()
    await consumer.stop()
    await has(broker, QueueDepth(0, 0))


@pytest.mark.long
async def test_a_reply_queue_that_is_left_without_a_leader_is_replaced(
    broker: Broker, consumer: Consumer, rabbit: Rabbit
) -> None:
    """So a broker leaves it that is killed while it creates the queue."""
    await broker.declare(topology.replies("alice", "i1"))
    name = topology.reply_queue_name("alice", "i1")
    replies = await broker.consumer(name)
    await replies.start(prefetch=1)
    await consumer.start(prefetch=1)
    await asyncio.to_thread(rabbit.remove_leader, name)
    await asyncio.to_thread(rabbit.close_connections)
    await until(lambda: not consumer.consuming)
    await until(lambda: consumer.consuming)
    assert not replies.consuming, "the mailbox has not waited for it"
    await until(lambda: replies.consuming and broker.connected, 60)
    await broker.publisher.publish(Outgoing(topology.REPLIES, name, b"{}", "r1"))
    assert (await taken(replies)).message_id == "r1"
    await replies.close()
