"""Each test that asks for `rabbit` or `broker_url` runs on both brokers, in its own vhost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # read when it is imported

from tests.support.brokers.rabbitmq import Rabbit, Server, container, private_node, vhost
from tests.support.report import said
from tests.support.stores import postgresql as stores
from tests.support.stores.postgresql import Postgres

BROKERS = ["rabbitmq-3.10", "rabbitmq-4.0"]


@pytest.fixture(scope="session", params=BROKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    name = str(request.param)
    if name == "rabbitmq-4.0":
        starting = container()
    else:
        starting = private_node(tmp_path_factory.mktemp("node"))
    with starting as running:
        said(request.config)[name] = f"ran on RabbitMQ {running.version}"
        yield running


@pytest.fixture
def rabbit(server: Server) -> Iterator[Rabbit]:
    with vhost(server) as own:
        yield own


@pytest.fixture
def broker_url(rabbit: Rabbit) -> str:
    return rabbit.url


@pytest.fixture(scope="session")
def postgresql(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    with stores.server() as running:
        said(request.config)["postgresql"] = f"ran on PostgreSQL {running.version}"
        yield running


@pytest.fixture
def postgresql_url(postgresql: Postgres) -> Iterator[str]:
    """An empty database."""
    with postgresql.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated store, of either kind."""
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    asyncio.run(migrate(url))
    return url
