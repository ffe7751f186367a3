"""A migrated store for commands."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    asyncio.run(migrate(url))
    return url
