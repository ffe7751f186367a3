"""Fixtures: tests of `rabbit` or `broker_url` run on both brokers, each in its own vhost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from shared.broker.connection import Broker, connect
from shared.contract import topology
from tests.support.brokers.rabbitmq import Rabbit, Server, container, private_node, vhost
from tests.support.report import summary

BROKERS = ["rabbitmq-3.10", "rabbitmq-4.0"]


@pytest.fixture(scope="session", params=BROKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    name = str(request.param)
    if name == "rabbitmq-4.0":
        starting = container()
    else:
        starting = private_node(tmp_path_factory.mktemp("node"))
    with starting as running:
        summary(request.config)[name] = f"ran on RabbitMQ {running.version}"
        yield running


@pytest.fixture
def rabbit(server: Server) -> Iterator[Rabbit]:
    with vhost(server) as own:
        yield own


@pytest.fixture
def broker_url(rabbit: Rabbit) -> str:
    return rabbit.url


@pytest_asyncio.fixture
async def broker(rabbit: Rabbit) -> AsyncIterator[Broker]:
    """Connected, with the exchanges of every system and one mailbox: bob's."""
    async with connect(rabbit.url, "test") as connected:
        await connected.declare(topology.system() + topology.mailbox("bob"))
        yield connected
