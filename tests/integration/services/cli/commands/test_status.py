"""`hutch status` on a real broker: one screen, also with many agents, or without a part."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.broker.dead_letters import headers
from shared.contract.topology import DEAD
from tests.support.client import Client
from tests.support.command_line import CLOSED, hutch
from tests.support.processes.running import System

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

SCHEDULE = "schedule: [{name: plan, every: 1h, prompt: Go.}]"
REASON = "the model refused the request because of " + "a very long reason " * 10


@pytest.fixture
def home(system: System, agents: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty agents, a scheduler, and a task in one mailbox."""
    for number in range(10, 40):
        schedule = SCHEDULE if number < 12 else "tools: []"
        (agents / f"agent-number-{number}.yaml").write_text(
            f"{{name: agent-number-{number}, {schedule}}}"
        )
    system.env["HUTCH_AGENTS"] = str(agents)
    for name in ("RABBITMQ_URL", "HUTCH_STORE", "HUTCH_AGENTS"):
        monkeypatch.setenv(name, system.env[name])
    system.start("services.scheduler").wait_for("scheduling")
    return agents


def test_thirty_agents_and_all_else_fit_on_one_screen(home: Path, pika: Client) -> None:
    pika.send("agent-number-10", {"content": "Hello.", "id": "t1"})
    for reason in ("an odd one", REASON, REASON):
        pika.send("agent-number-10", b"x", exchange=DEAD, headers=headers(reason))
    shown = hutch("status").stdout
    lines = shown.splitlines()
    assert max(len(line) for line in lines if "sqlite:" not in line) <= 80
    assert len(lines) <= 50
    assert lines[0].split()[:4] == ["agent", "processes", "mailbox", "running"]
    assert lines[1].split() == ["agent-number-10", *"010000"]
    assert sum(line.startswith("agent-number-") for line in lines) == 32, "agents and schedules"
    assert "scheduler: 1 process\n" in shown
    assert (
        "dead letters: 3; 'hutch dead list' shows them\n  2: the model refused the request" in shown
    )
    assert "  1: an odd one" in shown
    assert "\nstore: sqlite:///" in shown
    assert "\n  RabbitMQ 4.0." in shown
    found = json.loads(hutch("status", "--json").stdout)
    assert found["dead_letters_by_reason"]["an odd one"] == 1
    [first, *_] = found["schedules"]
    assert (first["agent"], first["last"], first["late"]) == ("agent-number-10", None, False)
    assert first["next"].endswith("00:00Z")


def test_the_rest_is_shown_without_the_broker_or_the_store(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as changed:
        changed.setenv("HUTCH_STORE", "sqlite:///nowhere/hutch.db")
        said = hutch("status")
    assert said.exit_code == 1
    assert said.stderr.startswith("hutch: no store yet: run 'hutch migrate'")
    assert said.stdout.splitlines()[1].split() == ["agent-number-10", *"-0----"]
    assert "broker: amqp://guest@" in said.stdout
    assert "store:" not in said.stdout

    monkeypatch.setenv("RABBITMQ_URL", CLOSED)
    said = hutch("status")
    assert said.exit_code == 1
    assert said.stderr.startswith("hutch: no broker can be reached at 127.0.0.1:1")
    assert said.stdout.splitlines()[1].split() == ["agent-number-10", *"0-0000"]
    assert "scheduler: 1 process" in said.stdout
    assert "broker:" not in said.stdout
