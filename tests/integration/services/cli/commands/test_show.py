"""`hutch show` and `hutch runs` on PostgreSQL."""

from __future__ import annotations

import asyncio

import pytest

from shared.store.database.migrate import migrate
from tests.unit.services.cli.commands.test_show import *  # noqa: F403 - each is a test


@pytest.fixture
def store_url(postgresql_url: str) -> str:
    asyncio.run(migrate(postgresql_url))
    return postgresql_url
