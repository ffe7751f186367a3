"""Inspection finds differences and missing rights, and leaves the broker as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.broker.connection import Broker, connect
from shared.contract import topology
from shared.contract.topology import CONTROL, DEAD_QUEUE, EVENTS, TASKS, mailbox_name
from tests.support.brokers.divided import divide
from tests.support.brokers.rabbitmq import Rabbit

[MAILBOX] = topology.mailbox("bob").queues
TASKS_EXCHANGE = next(it for it in topology.system().exchanges if it.name == TASKS)


async def test_a_queue_or_exchange_as_declared_has_no_difference(broker: Broker) -> None:
    for it in (MAILBOX, TASKS_EXCHANGE):
        found = await broker.inspect(it)
        assert (found.exists, found.compared, found.difference) == (True, True, "")


async def test_another_argument_is_a_difference_that_names_it(broker: Broker) -> None:
    other = replace(MAILBOX, arguments=MAILBOX.arguments | {"x-delivery-limit": 5})
    found = await broker.inspect(other)
    assert "'agent.bob' exists with another 'x-delivery-limit' (here" in found.difference


async def test_what_is_missing_is_not_declared(broker: Broker) -> None:
    [missing] = topology.mailbox("tom").queues
    assert not (await broker.inspect(missing)).exists
    assert await broker.depth(missing.name) is None


async def test_a_right_is_tried_without_a_message(broker: Broker) -> None:
    assert await broker.may_publish(TASKS, "bob")
    assert await broker.may_publish("no-such-exchange", "bob")
    assert await broker.may_read(DEAD_QUEUE)
    async with broker.browse(mailbox_name("bob")) as held:
        assert not held


@pytest.mark.parametrize(("user", "may_publish"), [("operator", True), ("agent.bob", False)])
async def test_a_missing_right_is_found(
    rabbit: Rabbit, tmp_path: Path, user: str, may_publish: bool
) -> None:
    url = (divide(rabbit, tmp_path / "users").folder / user).read_text("utf-8")
    async with connect(url, "test") as broker:
        assert await broker.may_publish(TASKS, "bob") == may_publish
        assert await broker.may_publish(CONTROL, "shutdown.bob") == may_publish
        assert await broker.may_publish(EVENTS, "bob.started") != may_publish
        assert await broker.may_read(DEAD_QUEUE) == may_publish
        found = await broker.inspect(MAILBOX)
        assert (found.exists, found.compared) == (True, False)
