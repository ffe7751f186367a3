"""Sent messages are deleted: each row once, however many are confirmed together."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from prometheus_client import CollectorRegistry
from sqlalchemy import func, select

from services.agent.delivery.outbox import Outbox
from shared.broker.connection import connect
from shared.contract import topology
from shared.store import Store
from shared.store.schema import outbox
from shared.telemetry.metrics import Metrics
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import client
from tests.support.processes.instances import instance
from tests.support.stores.steps import ASKER, ended, owned

MESSAGES = 60


async def test_no_row_is_left_of_messages_that_were_confirmed_together(
    store: Store, rabbit: Rabbit
) -> None:
    sent = [
        message
        for number in range(MESSAGES)
        for message in await ended(store, await owned(store, f"t{number}"))
    ]
    registry = CollectorRegistry()
    async with connect(rabbit.url, "test") as broker, asyncio.TaskGroup() as jobs:
        await broker.declare(topology.system())
        with client(rabbit.url) as pika:
            pika.channel.queue_declare(
                ASKER.reply_to, arguments={"x-queue-type": "quorum"}, durable=True
            )
        own = replace(instance(store), publisher=broker.publisher, metrics=Metrics(registry))
        sending = Outbox(own, jobs)
        sending.send(sent)
        async with asyncio.timeout(60):
            await sending.idle()
        arrived = await broker.depth(ASKER.reply_to)
    assert arrived is not None
    assert arrived.messages == MESSAGES
    query = select(func.count(outbox.c.seq))
    assert await store.read(lambda db: db.execute(query).scalar_one()) == 0
    assert registry.get_sample_value("hutch_outbox_unsent") == 0
