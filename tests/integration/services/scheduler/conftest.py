from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.broker.connection import Broker, connect
from shared.contract import topology
from shared.store import Store, open_store
from shared.store.database.migrate import migrate
from tests.support.brokers.rabbitmq import Rabbit


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hutch.db'}"


@pytest_asyncio.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    await migrate(store_url)
    async with open_store(store_url) as opened:
        yield opened


@pytest_asyncio.fixture
async def broker(rabbit: Rabbit) -> AsyncIterator[Broker]:
    """Connected, with the exchanges of every system and one mailbox: alice's."""
    async with connect(rabbit.url, "test") as connected:
        await connected.declare(topology.system() + topology.mailbox("alice"))
        yield connected
