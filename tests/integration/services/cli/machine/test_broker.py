"""Brokers that are started on this machine, and what is left after their end."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.cli.machine import rabbitmq_container
from services.cli.machine.broker import local_broker
from services.cli.machine.home import broker_url, running_broker
from shared.broker.connection import connect
from shared.contract import topology

READY_S = 90.0
NO_ENGINE = "tcp://127.0.0.1:1"
ASKED = "no question is asked where nothing is installed"


def never(_: str) -> bool:
    raise AssertionError(ASKED)


async def depth(url: str) -> int | None:
    async with connect(url, "test") as broker:
        await broker.declare(topology.system() + topology.mailbox("bob"))
        found = await broker.depth("agent.bob")
        return found.messages if found else None


async def answering(url: str) -> None:
    """Wait until a broker answers after its end."""
    async with connect(url, "test", wait_s=READY_S):
        pass


def containers(home: Path) -> list[str]:
    """The states of the containers that have the label of this folder."""
    return labelled(home, "ps", "--all", "--format", "{{.State}}")


def volumes(home: Path) -> list[str]:
    return labelled(home, "volume", "ls", "--quiet")


def labelled(home: Path, *command: str) -> list[str]:
    asked = ["docker", *command, "--filter", f"label=hutch.home={home}"]
    return subprocess.run(asked, capture_output=True, text=True, timeout=30).stdout.split()


def processes_of(folder: Path) -> list[str]:
    """The processes that were started for this folder."""
    return [
        process.info["name"]
        for process in psutil.process_iter(["name", "environ", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(folder) in str(process.info["environ"])
    ]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    rabbitmq_container.remove(tmp_path)


@pytest.mark.needs("docker")
@pytest.mark.parametrize(("keep", "left"), [(False, []), (True, ["exited"])])
def test_a_container_is_started_and_ended(home: Path, keep: bool, left: list[str]) -> None:
    with local_broker(None, home, print, never, keep=keep) as url:
        assert asyncio.run(depth(url)) == 0
        assert broker_url(home) == url
        assert running_broker(home, print) == url
        assert containers(home) == ["running"]
        assert volumes(home)
    assert containers(home) == left
    assert broker_url(home) is None
    rabbitmq_container.remove(home)
    assert containers(home) == volumes(home) == []


@pytest.mark.needs("docker")
def test_a_container_that_is_stopped_is_started_again_at_its_port(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.cli.machine.broker.WATCH_S", 0.2)
    said: list[str] = []
    with local_broker(None, home, said.append, never) as url:
        name = rabbitmq_container.container_name(home)
        subprocess.run(["docker", "kill", name], check=True, capture_output=True, timeout=30)
        asyncio.run(answering(url))
    sentence = f"the broker of this 'hutch up' has stopped (container {name}): starting it again"
    assert said.count(sentence) == 1
    with local_broker(None, home, said.append, never) as later:
        assert later == url


@pytest.mark.needs("rabbitmq-server")
def test_a_private_node_is_started_again_when_it_dies_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", NO_ENGINE)
    monkeypatch.setenv("CONTAINER_HOST", NO_ENGINE)
    monkeypatch.setattr("services.cli.machine.broker.WATCH_S", 0.2)
    said: list[str] = []
    with local_broker(None, tmp_path, said.append, never) as url:
        assert asyncio.run(depth(url)) == 0
        for process in psutil.process_iter(["name", "environ"]):
            if process.info["name"] == "beam.smp" and str(tmp_path) in str(process.info["environ"]):
                process.kill()
        asyncio.run(answering(url))
    assert sum("has stopped (the node in " in line for line in said) == 1
    assert processes_of(tmp_path) == []
