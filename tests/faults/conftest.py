"""Whole processes on 3.10 with SQLite, and on 4.0 with PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.chaos.agents import build
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.invariants import Rest
from tests.support.network.proxy import Proxy, address, proxy
from tests.support.processes import running
from tests.support.processes.running import System

_EXCUSES = pytest.StashKey[dict[str, str]]()


@pytest.fixture
def excuses(request: pytest.FixtureRequest) -> dict[str, str]:
    """The state that a test leaves on purpose, and why; see `Rest.excused`."""
    node: pytest.Item = request.node
    return node.stash.setdefault(_EXCUSES, {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """At the end of every test, while all that it has started is still there: nothing is left."""
    yield
    had: dict[str, object] = getattr(item, "funcargs", {})
    system, rabbit, client = had.get("system"), had.get("rabbit"), had.get("pika")
    if isinstance(system, System):
        url = rabbit.url if isinstance(rabbit, Rabbit) else str(had["broker_url"])
        rest = Rest(system, url, item.stash.get(_EXCUSES, {}))
        listener = client if isinstance(client, Client) else None
        assert rest.settled(listener) == []
        assert rest.ended() == []


@pytest.fixture
def system(request: pytest.FixtureRequest, rabbit: Rabbit, tmp_path: Path) -> Iterator[System]:
    """A migrated system, as in the integration tests; SQLite on 3.10, PostgreSQL on 4.0."""
    with running.system(rabbit.url, tmp_path) as system:
        if not rabbit.version.startswith("3"):
            system.env["HUTCH_STORE"] = request.getfixturevalue("postgresql_url")
        asyncio.run(migrate(system.env["HUTCH_STORE"]))
        system.model()
        yield system


@pytest.fixture
def network(rabbit: Rabbit, system: System) -> Iterator[Proxy]:
    """Agents that start from here on reach the broker by it; the client does not."""
    with proxy(address(rabbit.url)) as between:
        system.env["RABBITMQ_URL"] = between.url(rabbit.url)
        yield between
        between.flow()


@pytest.fixture
def marks(system: System, tmp_path: Path) -> Path:
    """The agents of the chaos game, a boss and a hand; here the tool leaves a file per task."""
    folder = tmp_path / "marks"
    folder.mkdir()
    system.env |= {"HUTCH_AGENTS": str(build(tmp_path / "chaos")), "CHAOS_MARKS": str(folder)}
    return folder
