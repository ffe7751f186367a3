"""A network that silently forwards nothing, cuts in the middle of a frame, or is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from shared.broker.connection import Broker, connect
from shared.broker.link import HEARTBEAT_S
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.errors import BrokerError
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.waiting import until
from tests.support.network.proxy import Proxy, address, proxy

NOTICED_S = 3.0 * HEARTBEAT_S + 3.0
"""A client misses a heartbeat for so long before it gives a connection up."""


@pytest.fixture
def network(rabbit: Rabbit) -> Iterator[Proxy]:
    with proxy(address(rabbit.url)) as between:
        yield between


@pytest_asyncio.fixture
async def far(network: Proxy, rabbit: Rabbit) -> AsyncIterator[Broker]:
    """The broker behind the network, with bob's mailbox."""
    async with connect(network.url(rabbit.url), "test") as connected:
        await connected.declare(topology.system() + topology.mailbox("bob"))
        yield connected
        network.flow()


def task(message_id: str) -> Outgoing:
    return Outgoing(topology.TASKS, "bob", b"{}", message_id)


@pytest.mark.long
async def test_a_half_open_connection_is_noticed_and_all_comes_back(
    far: Broker, network: Proxy
) -> None:
    consumer = await far.consumer("agent.bob")
    await consumer.start(prefetch=1)
    before, began = network.connections, time.monotonic()
    network.stall()
    with pytest.raises(BrokerError):
        await far.publisher.publish(task("lost"), timeout_s=1)
    assert time.monotonic() - began < 2, "a publisher doesn't wait for the network"
    # The one that publishes is given up earlier than the other: nothing is confirmed on it.
    await until(lambda: not far.connected and not consumer.consuming, NOTICED_S + 10)
    network.flow()
    await until(lambda: far.connected and consumer.consuming)
    assert network.connections >= before + 2, "both connections are new"
    await far.publisher.publish(task("sent"), timeout_s=10)
    received = {(await asyncio.wait_for(anext(consumer), 30)).message_id}
    while "sent" not in received:
        consumer.get_nowait()
        received.add((await asyncio.wait_for(anext(consumer), 30)).message_id)


async def test_a_frame_that_is_cut_in_the_middle_costs_only_its_connection(
    far: Broker, network: Proxy
) -> None:
    consumer = await far.consumer("agent.bob")
    await consumer.start(prefetch=10)
    before = network.connections
    network.cut()
    for number in range(3):
        await _confirmed(far, f"t{number}")
    await until(lambda: network.connections > before)
    await until(lambda: far.connected and consumer.consuming)
    await until(lambda: consumer.waiting >= 3)


async def _confirmed(broker: Broker, message_id: str) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await broker.publisher.publish(task(message_id), timeout_s=5)
            except BrokerError:
                await asyncio.sleep(0.1)
            else:
                return


async def test_a_slow_network_is_only_slow(far: Broker, network: Proxy) -> None:
    consumer = await far.consumer("agent.bob")
    await consumer.start(prefetch=100)
    before = network.connections
    network.delay(1.0)
    began = time.monotonic()
    await asyncio.gather(*(far.publisher.publish(task(f"t{n}")) for n in range(50)))
    took_s = time.monotonic() - began
    assert 2.0 <= took_s < 30.0, "there and back once, not once for each message"
    await until(lambda: consumer.waiting == 50)
    assert network.connections == before
