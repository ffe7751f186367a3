"""A store of its own for each test of an agent's parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.store.migrate import migrate
from tests.stores import store

__all__ = ["store"]


@pytest.fixture
async def store_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    await migrate(url)
    return url
