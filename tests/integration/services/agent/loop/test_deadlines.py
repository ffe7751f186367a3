"""A deadline ends a whole tree, and a manager concludes before it from the answers that came."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.agent.loop.calls import TOO_LATE
from tests.support.client import Client
from tests.support.processes.agents import calling, define, states, tree
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System, until
from tests.support.report import summary

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


@pytest.mark.essential
def test_a_manager_of_five_of_whom_three_hang_concludes_with_two_answers_before_its_deadline(
    system: System,
    pika: Client,
    asked: Asked,
    agents: Path,
    pytestconfig: pytest.Config,
) -> None:
    """Two wait for their model, and the process of a third one is frozen."""
    five = ("ann", "ben", "cy", "dee", "eve")
    define(agents, system, boss=f"workers: [{', '.join(five)}]", **dict.fromkeys(five, ""))
    *_, eve, boss = system.agents(*five, "boss")
    system.freeze(eve)
    prompts = ("[[reply warm]]", "[[reply cold]]", *["[[latency 60]]Write."] * 3)
    content = "".join(calling(*it) for it in zip(five, prompts, strict=True))
    deadline_s, began = 14.0, time.monotonic()
    pika.send("boss", {"content": content, "id": "t1", "deadline": in_seconds(deadline_s)})
    reply = pika.reply()
    took_s = time.monotonic() - began
    figure = f"partial after {took_s:.1f} s of {deadline_s:.0f} s"
    summary(pytestconfig)["five workers, three hang"] = figure
    assert reply.status == "partial"
    assert took_s < deadline_s - 1
    results = results_in(asked()[-1])
    assert results[:2] == ["warm", "cold"]
    assert all(TOO_LATE in it for it in results[2:])
    assert len(results) == len(five)
    assert "no answer from cy, dee, eve before the deadline" in boss.output
    until(lambda: [states(system)[it] for it in ("cy", "dee")] == ["timeout"] * 2)
