from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from shared.broker.connection import Broker, connect
from shared.contract import topology
from tests.support.brokers.rabbitmq import Rabbit


@pytest_asyncio.fixture
async def broker(rabbit: Rabbit) -> AsyncIterator[Broker]:
    """Connected, with the house and one mailbox: bob's."""
    async with connect(rabbit.url, "test") as connected:
        await connected.declare(topology.house() + topology.mailbox("bob"))
        yield connected
