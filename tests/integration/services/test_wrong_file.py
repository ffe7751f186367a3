"""A folder of agents with a fault in one file: all others start, answer and obey commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.running import System, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True, scope="session"),
]
"""A file means the same on each broker."""

CAROL = "name: carol\ndescription: Draws.\nlimits: {turns: 10}\n"


@pytest.fixture
def wrong(system: System, agents: Path) -> System:
    """Carol's file has a typo."""
    (agents / "alice.yaml").write_text("name: alice\nworkers: [bob]\n")
    (agents / "bob.yaml").write_text(
        "name: bob\ndescription: Writes.\nschedule: [{name: wake, every: 1s, prompt: Write.}]\n"
    )
    (agents / "carol.yaml").write_text(CAROL.replace("turns", "turn"))
    system.env["HUTCH_AGENTS"] = str(agents)
    return system


def queued(system: System, agent: str) -> int:
    found = json.loads(system.hutch("status", "--json").stdout)["agents"]
    return next(int(it["queued"]) for it in found if it["agent"] == agent)


@pytest.mark.essential
def test_the_others_start_and_answer_and_all_commands_work(wrong: System, agents: Path) -> None:
    fault = f"{agents}/carol.yaml:3: limits.turn: unknown key; did you mean turns?"
    for child in wrong.agents("alice", "bob"):
        assert fault in child.output
    asked = wrong.hutch("ask", "alice", "Ask Bob to write.")
    assert (asked.returncode, "bob returned:" in asked.stdout) == (0, True)
    assert wrong.hutch("pause", "bob").stdout.startswith("bob is paused")
    assert wrong.hutch("unpause", "bob").returncode == 0
    assert queued(wrong, "carol") == 0
    checked = wrong.hutch("check")
    assert (checked.returncode, checked.stderr) == (2, f"hutch: {fault}\n")
    carol = wrong.start("services.agent", "carol")
    assert carol.ended() == 2
    assert f"hutch agent carol: {fault}" in carol.output


def test_tasks_to_an_agent_with_a_wrong_file_wait_until_it_is_right(
    wrong: System, agents: Path, pika: Client
) -> None:
    wrong.agents("bob")
    pika.send("carol", "Draw.")
    until(lambda: queued(wrong, "carol") == 1)
    (agents / "carol.yaml").write_text(CAROL)
    wrong.agents("carol")
    assert [reply.status for reply in pika.replies(1)] == ["ok"]


def test_the_schedules_of_the_others_continue(wrong: System, agents: Path) -> None:
    scheduler = wrong.start("services.scheduler")
    scheduler.wait_for("carol.yaml:3: limits.turn: unknown key; did you mean turns?")
    scheduler.wait_for("tick sent")


def test_hutch_up_starts_the_others_and_names_the_fault(wrong: System, agents: Path) -> None:
    child = wrong.start("services.cli", "up", "--provider", "scripted")
    child.wait_for(r'alice +\| .*"consuming"')
    assert (
        f"not started: {agents}/carol.yaml:3: limits.turn: unknown key; did you mean turns?"
        in child.output
    )
    assert "starting scheduler, alice, bob, gateway;" in child.output
    assert child.end() == 0


def test_an_agent_whose_tool_fails_does_not_end_the_others(wrong: System, agents: Path) -> None:
    (agents / "carol.yaml").write_text("name: carol\ntools: ['absent.py:f']\n")
    child = wrong.start("services.cli", "up", "--provider", "scripted")
    child.wait_for(r"carol +\| hutch agent carol: .*there is no such file to load 'f' from")
    child.wait_for(r"carol +\| not started again; the others go on")
    child.wait_for(r'alice +\| .*"consuming"')
    assert child.end() == 0


def test_where_no_agent_can_start_up_fails(wrong: System, agents: Path) -> None:
    child = wrong.start("services.cli", "up", "carol", "--provider", "scripted")
    assert (child.ended(), child.output.count("\n")) == (2, 1)
    (agents / "carol.yaml").write_text("name: carol\ntools: ['absent.py:f']\n")
    child = wrong.start("services.cli", "up", "carol", "--provider", "scripted")
    assert child.ended() == 2
    assert child.output.splitlines()[-1].startswith(f"hutch: {agents}/carol.yaml:2: tools.0: ")
