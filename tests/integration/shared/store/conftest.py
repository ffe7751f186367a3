"""The store's tests on PostgreSQL; `tests/unit/shared/store` runs them on SQLite."""

from __future__ import annotations

import pytest

from shared.store.database.migrate import migrate
from tests.support.stores.fixtures import store

__all__ = ["store"]


@pytest.fixture
def empty_url(postgresql_url: str) -> str:
    return postgresql_url


@pytest.fixture
async def store_url(empty_url: str) -> str:
    await migrate(empty_url)
    return empty_url
