import asyncio
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pika
import pytest

from shared.broker.connection import Broker, QueueDepth
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.contract.entities import Queue, Topology
from shared.contract.messages import Event
from shared.contract.stream import StreamPart
from shared.errors import BrokerError, BrokerUnavailable, Unconfirmed, Undeliverable, Unsendable
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import until
from tests.support.client import client

TOO_LARGE = 20 * 1024 * 1024
FULL = Topology(queues=(Queue("small", {"x-max-length": 1, "x-overflow": "reject-publish"}),))
PART = StreamPart(run_id="r1", epoch=1, attempt=1, turn=1, sequence=0, text="Done.")

DIRECT = b"\x83Xv\x00\x07reply@1"
FAILING = [
    "amq.rabbitmq.reply-to.g1h2.nobody",
    *(
        f"amq.rabbitmq.reply-to.{b64encode(DIRECT + tail).decode()}.a2V5"
        for tail in (bytes(12), bytes(11))
    ),
]
"""Direct replies to no process, to one on a node that is gone, and to half a process."""


def task(message_id: str, agent: str = "bob", body: bytes = b"{}") -> Outgoing:
    return Outgoing(topology.TASKS, agent, body, message_id)


def to_queue(queue: str, message_id: str) -> Outgoing:
    return Outgoing("", queue, b"{}", message_id)


def event(name: str = "run.ended") -> Event:
    return Event(name=name, at=datetime.now(UTC), agent="bob", instance="i1")


async def holds(broker: Broker, queue: str, messages: int) -> None:
    async def depth() -> bool:
        return await broker.depth(queue) == QueueDepth(messages, 0)

    await until(depth)


async def test_many_messages_are_confirmed_at_once_on_one_channel(broker: Broker) -> None:
    await asyncio.gather(*(broker.publisher.publish(task(f"t{n}")) for n in range(300)))
    await holds(broker, "agent.bob", 300)


async def test_after_its_preparation_no_task_event_or_text_opens_a_channel(
    broker: Broker, rabbit: Rabbit
) -> None:
    with client(rabbit.url) as other:
        for exchange in (topology.EVENTS, topology.STREAM):
            other.channel.queue_bind(other.queue, exchange, "#")
        await broker.publisher.prepare()
        before = await asyncio.to_thread(rabbit.channels)
        await broker.publisher.publish(task("t1"))
        broker.publisher.announce(event())
        broker.publisher.stream("t1", PART)
        for _ in range(2):
            await asyncio.to_thread(other.taken, other.queue)
        assert await asyncio.to_thread(rabbit.channels) == before


async def test_a_message_that_no_queue_takes_is_undeliverable(broker: Broker) -> None:
    with pytest.raises(Undeliverable, match="no queue"):
        await broker.publisher.publish(to_queue("reply.gone", "t1"))
    await broker.publisher.publish(task("t1"))


async def test_a_direct_reply_at_which_the_broker_fails_costs_no_other_message_its_connection(
    broker: Broker, rabbit: Rabbit
) -> None:
    """Each of these ends the connection that it is published on, on 3.10 or on both."""
    before = await asyncio.to_thread(rabbit.connections)
    for number, address in enumerate(FAILING):
        honest = [broker.publisher.publish(task(f"t{number}.{n}")) for n in range(20)]
        failing = broker.publisher.publish(to_queue(address, f"d{number}"))
        *confirmed, outcome = await asyncio.gather(*honest, failing, return_exceptions=True)
        assert confirmed == [None] * len(honest)
        assert isinstance(outcome, Undeliverable), outcome
    await holds(broker, "agent.bob", 20 * len(FAILING))
    assert before <= await asyncio.to_thread(rabbit.connections)


async def test_a_queue_that_confirms_nothing_does_not_hold_up_the_others(
    broker: Broker, rabbit: Rabbit
) -> None:
    """Its channel stops at it; a message that is published again is confirmed all the same."""
    await broker.declare(topology.mailbox("alice"))

    async def insisted(message: Outgoing) -> None:
        while True:
            try:
                return await broker.publisher.publish(message)
            except (Unconfirmed, BrokerUnavailable):
                await asyncio.sleep(0.1)

    async with rabbit.silent(topology.mailbox_name("alice")):
        stuck = [asyncio.create_task(insisted(task(f"a{n}", "alice"))) for n in range(50)]
        await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await asyncio.gather(*(insisted(task(f"b{n}")) for n in range(100)))
            await asyncio.gather(*(broker.publisher.publish(task(f"c{n}")) for n in range(100)))
    async with asyncio.timeout(60):
        await asyncio.gather(*stuck)
    depth = await broker.depth("agent.bob")
    assert depth is not None
    assert depth.messages >= 200  # a message whose confirm was lost may be there twice


async def test_a_message_carries_no_priority(broker: Broker, rabbit: Rabbit) -> None:
    """A message of aio-pika's would carry 0, which a broker may rank below no priority."""
    await broker.publisher.publish(task("t1"))
    connection = pika.BlockingConnection(pika.URLParameters(rabbit.url))
    _, properties, _ = connection.channel().basic_get("agent.bob", auto_ack=True)
    connection.close()
    assert properties is not None
    assert (properties.message_id, properties.priority) == ("t1", None)


async def test_a_message_without_mandatory_is_dropped_silently(broker: Broker) -> None:
    lost = Outgoing(topology.REPLIES, "reply.gone", b"{}", "t1", mandatory=False)
    await broker.publisher.publish(lost)


async def test_duplicates_under_way_are_all_found_undeliverable(broker: Broker) -> None:
    copies = (broker.publisher.publish(to_queue("reply.gone", "same")) for _ in range(5))
    outcomes = await asyncio.gather(*copies, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Undeliverable] * 5


@pytest.mark.essential
async def test_a_full_queue_refuses(broker: Broker) -> None:
    await broker.declare(FULL)
    first, *others = await asyncio.gather(
        *(broker.publisher.publish(to_queue("small", f"t{n}")) for n in range(5)),
        return_exceptions=True,
    )
    assert first is None
    assert any("full" in str(other) for other in others)


@pytest.mark.essential
async def test_a_refused_message_affects_no_other(broker: Broker, rabbit: Rabbit) -> None:
    publisher = broker.publisher
    if rabbit.version.startswith("3"):  # takes up to 128 MB
        await publisher.publish(task("large", body=bytes(TOO_LARGE)), timeout_s=60)
    else:
        with pytest.raises(BrokerError, match="message size 20971520 is larger") as refused:
            await publisher.publish(task("large", body=bytes(TOO_LARGE)), timeout_s=60)
        assert type(refused.value) is BrokerError
    with pytest.raises(BrokerError, match="no exchange 'nowhere'"):
        await publisher.publish(Outgoing("nowhere", "", b"{}", "t2"))
    await publisher.publish(task("t3"))


async def test_a_routing_key_that_is_too_long_is_our_error(broker: Broker) -> None:
    with pytest.raises(BrokerError, match="too long"):
        await broker.publisher.publish(task("t1", agent="x" * 300))
    await broker.publisher.publish(task("t1"))


@pytest.mark.parametrize(
    "properties",
    [
        {"headers": {"x": "y" * 140_000}},
        {"headers": {"x": 2**64}},
        {"correlation_id": "c" * 300},
        {"correlation_id": "half a character: \ud800"},
    ],
)
async def test_a_message_whose_properties_do_not_fit_is_never_sent_and_affects_no_other(
    broker: Broker, rabbit: Rabbit, properties: dict[str, Any]
) -> None:
    await broker.publisher.publish(task("before"))
    connections = rabbit.connections()
    with pytest.raises(Unsendable, match="could not publish 'large' to"):
        await broker.publisher.publish(replace(task("large"), **properties))
    await broker.publisher.publish(task("after"))
    await holds(broker, "agent.bob", 2)
    assert rabbit.connections() == connections


async def test_under_an_alarm_nothing_is_known_and_all_arrives_later(
    broker: Broker, rabbit: Rabbit
) -> None:
    await broker.publisher.publish(task("before"))
    with rabbit.alarm():
        with pytest.raises(Unconfirmed, match="publish again with the same message_id"):
            await broker.publisher.publish(task("during"), timeout_s=1)
        with pytest.raises(Unconfirmed):
            await broker.publisher.publish(task("other"), timeout_s=1)
        await until(broker.blocked)
        await holds(broker, "agent.bob", 1)
        again = asyncio.create_task(broker.publisher.publish(task("during"), timeout_s=30))
    await again
    assert not await broker.blocked()
    await holds(broker, "agent.bob", 4)


async def test_publishing_waits_for_the_connection(broker: Broker, rabbit: Rabbit) -> None:
    await broker.publisher.publish(task("t1"))
    with rabbit.stopped():
        await until(lambda: not broker.connected)
        waiting = asyncio.create_task(broker.publisher.publish(task("t2"), timeout_s=30))
    await waiting
    await holds(broker, "agent.bob", 2)


async def test_without_a_broker_publishing_fails_in_time(broker: Broker, rabbit: Rabbit) -> None:
    with rabbit.stopped():
        await until(lambda: not broker.connected)
        broker.publisher.announce(event())
        with pytest.raises(BrokerUnavailable):
            await broker.publisher.publish(task("t1"), timeout_s=0.5)
        assert broker.publisher.dropped == 1
    await until(lambda: broker.connected)
    await broker.publisher.publish(task("t1"))


async def test_events_reach_the_stream(broker: Broker) -> None:
    for _ in range(100):
        broker.publisher.announce(event())

    async def arrived() -> bool:
        depth = await broker.depth("events")
        return depth is not None and depth.messages == 100

    await until(arrived)
    assert broker.publisher.dropped == 0
