"""A deadline ends a whole tree with `timeout`, whichever of its runs still wait."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import calling, states, tree
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]

TREE = calling("mid", calling("low", "[[latency 60]]Write."))
SOON_S = 3.0
"""A deadline is kept to some milliseconds; this is for a machine that does much else."""


def in_seconds(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


@pytest.mark.essential
def test_a_deadline_ends_every_descendant(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    tree(system, agents)
    pika.send("top", {"content": TREE, "id": "t1", "deadline": in_seconds(8)})
    until(lambda: len(asked()) == 3)
    assert pika.reply().status == "timeout"
    until(lambda: states(system) == dict.fromkeys(("top", "mid", "low"), "timeout"))
    assert all(-0.5 < late < SOON_S for late in late_s(system)), late_s(system)
    assert len(asked()) == 3


def late_s(system: System) -> list[float]:
    """The seconds from each run's deadline to its end, by the store's clock."""
    file = system.env["HUTCH_STORE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as reading:
        return [late for (late,) in reading.execute("SELECT ended_at - deadline_at FROM runs")]


def test_a_manager_ends_at_its_deadline_though_its_worker_hangs_and_so_does_that_worker(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    tree(system, agents)
    low = next(child for child in system.children if '"agent": "low"' in child.output)
    pika.send("top", {"content": TREE, "id": "t1", "deadline": in_seconds(8)})
    until(lambda: len(asked()) == 3)
    system.freeze(low)
    assert pika.reply().status == "timeout"
    until(lambda: states(system) == {"top": "timeout", "mid": "timeout", "low": "running"})
    low.process.send_signal(signal.SIGCONT)
    assert until(lambda: states(system)["low"] == "timeout") < SOON_S
    assert len(asked()) == 3


def test_a_child_that_comes_after_the_deadline_is_answered_unrun(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    tree(system, agents)
    low = next(child for child in system.children if '"agent": "low"' in child.output)
    system.freeze(low)
    pika.send("top", {"content": TREE, "id": "t1", "deadline": in_seconds(6)})
    assert pika.reply().status == "timeout"
    low.process.send_signal(signal.SIGCONT)
    until(lambda: states(system) == dict.fromkeys(("top", "mid", "low"), "timeout"))
    assert len(asked()) == 2
