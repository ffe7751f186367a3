"""Whole processes on 3.10 with SQLite, and on 4.0 with PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.migrate import migrate
from tests import running
from tests.chaos.house import build
from tests.integration.brokers import Rabbit
from tests.integration.services.conftest import agents, asked, pika
from tests.running import House

__all__ = ["agents", "asked", "pika"]


@pytest.fixture
def house(request: pytest.FixtureRequest, rabbit: Rabbit, tmp_path: Path) -> Iterator[House]:
    """As in the services' tests, with the store that goes with the broker."""
    with running.house(rabbit.url, tmp_path) as house:
        if not rabbit.version.startswith("3"):
            house.env["HUTCH_STORE"] = request.getfixturevalue("postgresql_url")
        asyncio.run(migrate(house.env["HUTCH_STORE"]))
        house.model()
        yield house


@pytest.fixture
def marks(house: House, tmp_path: Path) -> Path:
    """The house is that of the chaos, a boss and a hand; here its tool leaves a file per task."""
    folder = tmp_path / "marks"
    folder.mkdir()
    house.env |= {"HUTCH_AGENTS": str(build(tmp_path / "chaos")), "CHAOS_MARKS": str(folder)}
    return folder
