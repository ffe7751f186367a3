"""Limits of a model that the processes of several agents share."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long

MOST_S = 45.0
"""Three seconds of silence and the call, on a slow machine that does much else."""


@pytest.fixture(autouse=True)
def two(system: System, agents: Path) -> None:
    """Ann and Bob, who do one thing at a time."""
    for name in ("ann", "bob"):
        (agents / f"{name}.yaml").write_text(f"name: {name}\nlimits: {{concurrency: 1}}\n")
    system.env["HUTCH_AGENTS"] = str(agents)


@pytest.mark.essential
def test_the_share_of_a_killed_agents_process_comes_back_to_another_agent(
    system: System, pika: Client, asked: Asked
) -> None:
    system.env["HUTCH_LIMITS"] = '{"*": {"concurrent_calls": 1}}'
    [ann, bob] = system.agents("ann", "bob")
    pika.send("ann", "[[latency 300]]Never.")
    until(lambda: len(asked()) == 1)
    second = pika.send("bob", "[[reply Two.]]")
    bob.wait_for("run started")
    ann.kill()
    began = time.monotonic()
    reply = pika.reply()
    assert (reply.correlation_id, reply.content) == (second, "Two.")
    assert time.monotonic() - began < MOST_S
    assert len(asked()) == 2


def test_a_run_that_waits_for_a_limit_leaves_its_slot_and_is_shown(
    system: System, pika: Client, asked: Asked
) -> None:
    system.env["HUTCH_LIMITS"] = '{"*": {"requests_per_minute": 1}}'
    _, [bob] = system.agents("ann"), system.agents("bob")
    assert pika.ask("ann", "[[reply One.]]").content == "One."
    waiting = pika.send("bob", "[[reply Two.]]")
    bob.wait_for("waiting for the limit of model .*: 1 requests per minute")
    status = system.start("services.cli", "status")
    assert status.ended() == 0, status.output
    assert "1 run waits, for up to" in status.output
    assert pika.reply(wait_s=120).correlation_id == waiting
    assert len(asked()) == 2
    assert "model fails" not in bob.output
