"""A store of its own for each test of an agent's parts, and a model endpoint with a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.support.model.endpoint import Endpoint
from tests.support.stores.fixtures import store

__all__ = ["store"]


@pytest.fixture
async def store_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    await migrate(url)
    return url


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with Endpoint().serving() as serving:
        yield serving


@pytest.fixture
def endpoint(server: Endpoint) -> Endpoint:
    return server.reset()
