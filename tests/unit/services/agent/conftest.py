"""A store of its own for each test of an agent's parts, and a model endpoint with a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.migrate import migrate
from tests.stores import store
from tests.unit.services.agent.endpoint import Endpoint

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
