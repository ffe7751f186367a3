"""The boundary around a delivery, on a real broker: what one meets harms nothing beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio

from services.agent.delivery.outbox import Outbox
from services.agent.delivery.refusals import Refusals
from services.agent.delivery.settle import Receive, Settlement
from shared.broker.connection import Broker, QueueDepth
from shared.broker.consumer import Consumer, Delivery
from shared.broker.dead_letters import DeadLetter, from_store, read
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.contract.entities import Queue, Topology
from shared.errors import BadMessage, BrokerError, BrokerUnavailable, StoreError
from shared.store import Store
from shared.store.messages import dead_letters
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import lose_connections, until
from tests.support.processes.instances import instance

STORES = ["sqlite"]
PREFETCH = 4


class Panic(BaseException):
    pass


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("it says nothing")


@pytest_asyncio.fixture
async def mailbox(broker: Broker) -> AsyncIterator[Consumer]:
    consumer = await broker.consumer(topology.mailbox_name("bob"))
    yield consumer
    await consumer.close()


async def send(broker: Broker, *ids: str, reply_to: str | None = None) -> None:
    for id in ids:
        await broker.publisher.publish(
            Outgoing(topology.TASKS, "bob", b"{}", id, reply_to=reply_to, correlation_id=id)
        )


@asynccontextmanager
async def settling(
    broker: Broker, store: Store, mailbox: Consumer, receive: Receive
) -> AsyncIterator[None]:
    """Settle the mailbox's deliveries within the block."""
    own = replace(instance(store), publisher=broker.publisher)
    async with asyncio.TaskGroup() as jobs:
        settlement = Settlement(Refusals(own, Outbox(own, jobs)))
        job = jobs.create_task(settlement.serve(mailbox, PREFETCH, receive))
        yield
        job.cancel()


async def published_dead_letters(broker: Broker, count: int) -> list[DeadLetter]:
    async def there() -> bool:
        return await broker.depth(topology.DEAD_QUEUE) == QueueDepth(count, 0)

    await until(there)
    async with broker.browse(topology.DEAD_QUEUE) as held:
        return [read(it) for it in held]


@pytest.mark.parametrize(
    ("met", "reason"),
    [
        (OverflowError("too large"), "a fault of ours: OverflowError: too large"),
        (RecursionError(), "a fault of ours: RecursionError"),
        (Wordless(), "a fault of ours: "),
        (Panic(), "a fault of ours: "),
        (SystemExit(3), "a fault of ours: SystemExit: 3"),
        (asyncio.CancelledError("stray"), "a fault of ours: "),
        (StoreError("not here"), "it can't be stored: not here"),
        (BrokerError("it is full"), "it is full"),
    ],
)
async def test_an_unexpected_error_dead_letters_only_its_own_delivery(
    broker: Broker, store: Store, mailbox: Consumer, met: BaseException, reason: str
) -> None:
    received = list[str]()

    async def receive(delivery: Delivery) -> None:
        if delivery.message_id == "bad":
            raise met
        received.append(delivery.message_id or "")

    await broker.declare(Topology(queues=(Queue("reply.x", exclusive=True),)))
    answers = await broker.consumer("reply.x")
    await answers.start(1)
    await send(broker, "bad", reply_to="reply.x")
    await send(broker, "good")
    async with settling(broker, store, mailbox, receive):
        (dead_letter,) = await published_dead_letters(broker, 1)
        await until(lambda: received == ["good"])
        async with asyncio.timeout(30):
            answered = await anext(answers)
    assert dead_letter.last.reason.startswith(reason)
    assert answered.correlation_id == "bad"
    assert b'"refused"' in answered.body
    assert b"too large" not in answered.body, "what a fault of ours says is the operator's"


async def test_a_delivery_that_has_to_wait_keeps_no_other_waiting(
    broker: Broker, store: Store, mailbox: Consumer
) -> None:
    received, later = list[str](), asyncio.Event()

    async def receive(delivery: Delivery) -> None:
        if delivery.message_id == "slow":
            await later.wait()
        received.append(delivery.message_id or "")

    await send(broker, "slow", "1", "2", "3", "4", "5", "6")
    async with settling(broker, store, mailbox, receive):
        await until(lambda: received == ["1", "2", "3", "4", "5", "6"])
        later.set()
        await until(lambda: received[-1] == "slow")


async def test_a_delivery_that_the_broker_takes_back_is_processed_when_it_is_redelivered(
    broker: Broker, store: Store, mailbox: Consumer, rabbit: Rabbit
) -> None:
    tried = list[bool]()

    async def receive(delivery: Delivery) -> None:
        tried.append(delivery.redelivered)
        if not delivery.redelivered:
            raise BrokerUnavailable("not now")

    await send(broker, "m")
    async with settling(broker, store, mailbox, receive):
        await until(lambda: tried == [False])
        await lose_connections(rabbit, broker)
        await until(lambda: tried[-1])
        await until(lambda: mailbox.waiting == 0)
    async with broker.browse(topology.mailbox_name("bob")) as held:
        assert held == []


@pytest.mark.parametrize("why", ["gone", "full", "forbidden"])
async def test_the_store_keeps_dead_letters_that_the_queue_dead_refuses(
    broker: Broker, store: Store, mailbox: Consumer, rabbit: Rabbit, why: str
) -> None:
    async def receive(delivery: Delivery) -> None:
        raise BadMessage("no sense")

    await send(broker, *"123456789")
    await refuse_dead_letters(broker, rabbit, why)
    async with settling(broker, store, mailbox, receive):

        async def kept() -> bool:
            return len(await store.read(dead_letters.stored)) == 9

        await until(kept)
        found = [from_store(it) for it in await store.read(dead_letters.stored)]
    assert {it.last.reason for it in found} == {"no sense"}
    assert {it.message_id for it in found} == set("123456789")


async def fill(broker: Broker) -> None:
    """A quorum queue takes a few more than it may hold."""
    for number in range(1000):
        await broker.publisher.publish(Outgoing(topology.DEAD, "fill", b"{}", f"fill.{number}"))


async def refuse_dead_letters(broker: Broker, rabbit: Rabbit, why: str) -> None:
    if why == "gone":
        rabbit.ctl("delete_queue", "-p", rabbit.vhost, "dead")
    elif why == "full":
        full = '{"max-length": 1, "overflow": "reject-publish"}'
        rabbit.ctl("set_policy", "-p", rabbit.vhost, "full", "^dead$", full)
        with pytest.raises(BrokerError, match="the queue is full"):
            await fill(broker)
    else:
        write = r"^(hutch\.(tasks|replies|events)|amq\.default)$"
        rabbit.ctl("set_permissions", "-p", rabbit.vhost, "guest", ".*", write, ".*")
