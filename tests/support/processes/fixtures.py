"""Fixtures: real processes around a real broker, the scripted model as the only stand-in."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contract.prompts import unquoted
from shared.store.database.migrate import migrate
from tests.support.client import Client, client
from tests.support.processes import running
from tests.support.processes.running import System

Asked = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A folder for agents of the test's own; empty: the shipped examples are used."""
    folder = tmp_path / "agents"
    folder.mkdir()
    return folder


@pytest.fixture
def system(broker_url: str, tmp_path: Path, agents: Path) -> Iterator[System]:
    """A migrated store and the scripted model; the test starts its agents."""
    with running.system(broker_url, tmp_path) as system:
        asyncio.run(migrate(system.env["HUTCH_STORE"]))
        system.model()
        yield system


@pytest.fixture
def pika(broker_url: str) -> Iterator[Client]:
    with client(broker_url) as client_:
        yield client_


@pytest.fixture
def asked(system: System) -> Asked:
    """The requests that the model server has had, oldest first."""
    return lambda: requests(system)


def requests(system: System) -> list[dict[str, Any]]:
    with urllib.request.urlopen(_log(system), timeout=10) as reply:
        found: list[dict[str, Any]] = json.load(reply)["requests"]
        return found


def results_in(request: dict[str, Any]) -> list[str]:
    """The results of calls in a request, without their quotation marks."""
    return [unquoted(it["content"]) for it in request["messages"] if it["role"] == "tool"]


def forget(system: System) -> None:
    """Empty the model server's log."""
    urllib.request.urlopen(
        urllib.request.Request(_log(system), method="DELETE"), timeout=10
    ).close()


def _log(system: System) -> str:
    return system.env["OPENAI_BASE_URL"].removesuffix("/v1") + "/requests"
