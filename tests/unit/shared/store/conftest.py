"""The store's tests on SQLite; `tests/integration/shared/store` runs them on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.support.stores.fixtures import store

__all__ = ["store"]


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'hutch.db'}"


@pytest.fixture
async def store_url(empty_url: str) -> str:
    await migrate(empty_url)
    return empty_url
