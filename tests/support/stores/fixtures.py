"""Fixtures: PostgreSQL, and migrated stores of either kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.store import Store, open_store
from shared.store.database.migrate import migrate
from shared.store.processes import heartbeats
from shared.store.runs.claim import freeze
from tests.support.report import summary
from tests.support.stores import postgresql as servers
from tests.support.stores.postgresql import Postgres
from tests.support.stores.steps import DEFINITION

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.container)]
BOTH_ESSENTIAL = [
    "sqlite",
    pytest.param("postgresql", marks=[pytest.mark.container, pytest.mark.essential]),
]


def on_both_stores(metafunc: pytest.Metafunc) -> None:
    """The `pytest_generate_tests` of tests whose promises both stores keep.

    A module for one store, or with marks of its own, has a constant `STORES`.
    """
    if "empty_url" in metafunc.fixturenames:
        stores = getattr(metafunc.module, "STORES", BOTH)
        metafunc.parametrize("empty_url", stores, indirect=True)


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with servers.server() as running:
        summary(request.config)["postgresql"] = f"ran on PostgreSQL {running.version}"
        yield running


@pytest.fixture
def postgresql_url(postgresql: Postgres) -> Iterator[str]:
    """An empty database."""
    with postgresql.database() as url:
        yield url


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store without tables: SQLite, unless `on_both_stores` says otherwise."""
    if getattr(request, "param", "sqlite") == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{tmp_path / 'hutch.db'}"


@pytest.fixture
def store_url(empty_url: str) -> str:
    asyncio.run(migrate(empty_url))
    return empty_url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store that knows one definition and the living instance `alice.1`."""
    async with open_store(store_url, retry_for_s=20) as opened:
        await opened.write(
            "", lambda db: freeze(db, DEFINITION, '{"definition": {"name": "alice"}}')
        )
        await opened.write("", lambda db: heartbeats.record(db, "alice.1", "alice"))
        yield opened
