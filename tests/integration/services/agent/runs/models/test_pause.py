"""A paused agent begins no run and calls no model; nothing is lost by it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

QUICK_S = 2.0
"""It takes half a second; this is for a machine that does much else."""

GATE = """
import pathlib, time
def gate() -> str:
    while not pathlib.Path({!r}).exists():
        time.sleep(0.02)
    return "open"
"""


@pytest.fixture
def gate(system: System, agents: Path, tmp_path: Path) -> Path:
    """An agent `ann` with a tool that returns once this file is there."""
    file = tmp_path / "gate"
    define(agents, system, ann="tools: ['gate.py:gate']")
    (agents / "tools").mkdir()
    (agents / "tools" / "gate.py").write_text(GATE.format(str(file)), "utf-8")
    return file


def status(system: System, agent: str) -> dict[str, int]:
    found = json.loads(system.hutch("status", "--json").stdout)["agents"]
    by_agent: dict[str, dict[str, int]] = {it["agent"]: it for it in found}
    return by_agent[agent]


def steps(system: System, task_id: str) -> int:
    shown = json.loads(system.hutch("show", task_id, "--json").stdout)
    return len(shown["texts"]["steps"])


def test_a_pause_holds_open_runs_before_their_next_model_call_and_new_tasks_in_the_mailbox(
    system: System, pika: Client, asked: Asked, gate: Path
) -> None:
    [ann] = system.agents("ann")
    first = pika.send("ann", {"content": "[[call gate {}]]", "id": "first"})
    until(lambda: len(asked()) == 1)
    said = system.hutch("pause", "ann").stdout
    assert said == "ann is paused: 'hutch unpause ann' ends the pause\n"
    ann.wait_for("agent.paused")
    gate.touch()
    until(lambda: steps(system, "first") == 2)
    second = pika.send("ann", "[[reply second]]")
    until(lambda: status(system, "ann")["queued"] == 1)
    assert status(system, "ann")["paused"]
    assert "paused" in system.hutch("status").stdout

    assert ann.end() == 0, "a paused agent drains: what is open is handed over"
    [again] = system.agents("ann")
    assert status(system, "ann")["queued"] == 1, "kept across restarts"
    assert len(asked()) == 1
    assert system.hutch("unpause", "ann").stdout == "ann is not paused any more\n"
    again.wait_for("agent.unpaused")
    assert {reply.correlation_id for reply in pika.replies(2)} == {first, second}
    assert not status(system, "ann")["paused"]
    assert len(asked()) == 3


@pytest.mark.parametrize("names", ["bob", pytest.param("all", marks=pytest.mark.essential)])
def test_a_pause_and_its_end_are_obeyed_within_a_second(
    system: System, pika: Client, asked: Asked, names: str
) -> None:
    [bob] = system.agents("bob")
    system.hutch("pause", names)
    assert until(lambda: "agent.paused" in bob.output) < QUICK_S
    pika.send("bob", "Write.")
    system.hutch("unpause", names)
    assert until(lambda: len(asked()) == 1) < QUICK_S
    assert pika.reply().status == "ok"


def test_a_paused_agents_deadlines_count_on(
    system: System, pika: Client, asked: Asked, gate: Path
) -> None:
    [ann] = system.agents("ann")
    soon = (datetime.now(UTC) + timedelta(seconds=8)).isoformat()
    pika.send("ann", {"content": "[[call gate {}]]", "id": "t1", "deadline": soon})
    until(lambda: len(asked()) == 1)
    system.hutch("pause", "ann")
    ann.wait_for("agent.paused")
    gate.touch()
    assert pika.reply().status == "timeout"
    assert len(asked()) == 1


def test_a_paused_agent_obeys_a_cancel(
    system: System, pika: Client, asked: Asked, gate: Path
) -> None:
    [ann] = system.agents("ann")
    pika.send("ann", {"content": "[[call gate {}]]", "id": "t1"})
    until(lambda: len(asked()) == 1)
    system.hutch("pause", "ann")
    ann.wait_for("agent.paused")
    gate.touch()
    until(lambda: steps(system, "t1") == 2)
    assert system.hutch("cancel", "t1").stdout == "task t1 of ann has ended: cancelled\n"
    assert pika.reply().status == "cancelled"
    assert len(asked()) == 1
