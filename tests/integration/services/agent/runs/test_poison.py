"""A tool that kills its own process, beside others that have done nothing."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from services.agent.runs.execution import MOST_ATTEMPTS
from tests.support.client import Client
from tests.support.processes.agents import POISON, supervised
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import POLL_S, System

pytestmark = [pytest.mark.long, pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)]
"""Takeovers are decided in the store, so that one version of the broker is enough."""

NEIGHBOURS = 2
LATENCY_S = 3.0
"""Longer than it takes to send the poison after the neighbours have begun."""
BOB = "name: bob\ntools: [{function: poison.py:die, repeatable: true}]\n"


@pytest.fixture
def bobs_system(system: System, agents: Path) -> System:
    (agents / "bob.yaml").write_text(BOB)
    (agents / "tools").mkdir()
    (agents / "tools" / "poison.py").write_text(POISON)
    system.env["HUTCH_AGENTS"] = str(agents)
    return system


def test_a_poison_is_found_and_its_neighbours_are_not_affected(
    bobs_system: System, pika: Client, asked: Asked
) -> None:
    with supervised(bobs_system) as codes:
        for number in range(NEIGHBOURS):
            pika.send("bob", f"[[latency {LATENCY_S}]][[reply Unharmed {number}.]]")
        while len(asked()) < NEIGHBOURS:
            time.sleep(POLL_S)
        poison = pika.send("bob", {"content": "[[call die {}]]", "id": "poison"})
        replies = pika.replies(NEIGHBOURS + 1)
        headers, body = pika.taken("dead")
        left = pika.channel.queue_declare("dead", passive=True).method.message_count
    given_up = [reply for reply in replies if reply.correlation_id == poison]
    assert [reply.status for reply in given_up] == ["failed"]
    assert f"given up: {MOST_ATTEMPTS} processes have died" in given_up[0].content
    assert sorted(reply.content for reply in replies if reply not in given_up) == [
        f"Unharmed {number}." for number in range(NEIGHBOURS)
    ]
    assert headers["x-hutch-message-id"] == "poison"
    assert b"[[call die {}]]" in body
    assert left == 0
    assert codes[:-1] == [-9] * MOST_ATTEMPTS
    alone = sorted(entry["at"] for entry in asked() if "Unharmed" in str(entry))[-NEIGHBOURS:]
    gaps_s = [later - earlier for earlier, later in pairwise(alone)]
    assert all(gap_s >= LATENCY_S for gap_s in gaps_s), "one after the other"
