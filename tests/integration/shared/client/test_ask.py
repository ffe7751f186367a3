from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.broker.connection import Broker, connect
from shared.broker.consumer import Delivery
from shared.broker.publisher import Outgoing
from shared.client import ask as client
from shared.client.cancel import publish_cancel
from shared.contract import topology
from shared.contract.messages import Cancel, Response, Status, Task, Trigger, encode, run_id
from shared.contract.stream import StreamPart
from shared.errors import BadMessage, HutchError, Undeliverable
from tests.support.brokers.rabbitmq import Rabbit

TASK = Task(id="t1", content="Hello")
ANSWERED = Response(id="r1", task_id="t1", agent="bob", status=Status.OK, content="done")
OTHERS = ANSWERED.model_copy(update={"task_id": "t2", "content": "of another task"})


OWN = run_id("bob", "t1")


def part_of(run: str, sequence: int, text: str) -> StreamPart:
    return StreamPart(run_id=run, epoch=1, attempt=1, turn=1, sequence=sequence, text=text)


@pytest_asyncio.fixture
async def broker(rabbit: Rabbit) -> AsyncIterator[Broker]:
    async with connect(rabbit.url, "test") as connected:
        await connected.declare(topology.system() + topology.mailbox("bob"))
        yield connected


async def answer(broker: Broker, task: Delivery, body: bytes) -> None:
    exchange, routing_key = topology.reply_address(task.reply_to or "")
    await broker.publisher.publish(Outgoing(exchange, routing_key, body, "r1", task.correlation_id))


async def test_the_task_is_published_again_until_its_own_response_comes(broker: Broker) -> None:
    mailbox = await broker.consumer(topology.mailbox_name("bob"))
    await mailbox.start(10)
    async with asyncio.TaskGroup() as jobs:
        asking = jobs.create_task(
            client.ask(broker, "bob", TASK, 30.0, lambda _: None, ask_again_s=0.1)
        )
        tasks = aiter(mailbox)
        first = await anext(tasks)
        await answer(broker, first, encode(OTHERS))
        second = await anext(tasks)
        await answer(broker, second, encode(ANSWERED))
    assert (first.message_id, second.message_id) == ("t1", "t1")
    assert (await asking).content == "done"


async def test_a_response_that_cannot_be_parsed_raises_bad_message(broker: Broker) -> None:
    mailbox = await broker.consumer(topology.mailbox_name("bob"))
    await mailbox.start(10)
    asking = asyncio.create_task(client.ask(broker, "bob", TASK, 30.0, lambda _: None))
    await answer(broker, await anext(aiter(mailbox)), b"{")
    with pytest.raises(BadMessage):
        await asking


async def test_the_text_of_the_tasks_own_run_is_received_before_its_response(
    broker: Broker,
) -> None:
    mailbox = await broker.consumer(topology.mailbox_name("bob"))
    await mailbox.start(10)
    task = TASK.model_copy(update={"stream": True})
    received: list[str] = []
    three = asyncio.Event()

    def on_part(part: StreamPart) -> None:
        received.append(part.text)
        if len(received) == 3:
            three.set()

    async with asyncio.timeout(30), asyncio.TaskGroup() as jobs:
        asking = jobs.create_task(client.ask(broker, "bob", task, 30.0, lambda _: None, on_part))
        delivery = await anext(aiter(mailbox))
        for number, (run, text) in enumerate(
            [(OWN, "Good"), ("of-a-worker", "Psst"), (OWN, " day"), (OWN, ".")]
        ):
            broker.publisher.stream("t1", part_of(run, number, text))
            broker.publisher.stream("t2", part_of(OWN, number, "under another root"))
        await three.wait()
        assert not asking.done()
        await answer(broker, delivery, encode(ANSWERED))
    assert received == ["Good", " day", "."]


async def test_texts_that_no_client_wants_and_bodies_that_are_none_change_nothing(
    broker: Broker,
) -> None:
    broker.publisher.stream("t9", part_of(OWN, 0, "to nobody"))
    mailbox = await broker.consumer(topology.mailbox_name("bob"))
    await mailbox.start(10)
    task = TASK.model_copy(update={"stream": True})
    asking = asyncio.create_task(client.ask(broker, "bob", task, 30.0, lambda _: None))
    delivery = await anext(aiter(mailbox))
    await broker.publisher.publish(Outgoing(topology.STREAM, "t1", b"{", "odd"))
    await answer(broker, delivery, encode(ANSWERED))
    assert (await asking).content == "done"


async def test_no_response_in_time_is_an_error(broker: Broker) -> None:
    with pytest.raises(HutchError, match="no response from 'bob' within 0 s"):
        await client.ask(broker, "bob", TASK, 0.1, lambda _: None, grace_s=0.1)


async def test_a_message_that_no_queue_accepts_is_undeliverable(broker: Broker) -> None:
    with pytest.raises(Undeliverable):
        await client.publish(broker, topology.CONTROL, "cancel.bob", Cancel(task_id="t1"))
    assert not await publish_cancel(broker, "bob", Cancel(task_id="t1"))


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
async def test_of_what_waits_in_a_mailbox_two_interactive_messages_come_for_each_other_one(
    broker: Broker,
) -> None:
    for number in range(6):
        kind = Trigger if number < 3 else Task
        message = kind(id=f"{kind.__name__}.{number}", content="Hello")
        await client.publish(broker, topology.TASKS, "bob", message)
    mailbox = await broker.consumer(topology.mailbox_name("bob"))
    await mailbox.start(10)
    deliveries = aiter(mailbox)
    async with asyncio.timeout(30):
        came = [(await anext(deliveries)).message_id for _ in range(6)]
    assert [it.split(".")[0] for it in came if it][:3] == ["Task", "Task", "Trigger"]
