"""The number of unacked deliveries of a process, as the broker counts them."""

import time
from pathlib import Path

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.running import PATIENCE_S, System

CONCURRENCY = 6


def test_an_agent_that_was_full_consumes_as_widely_again(
    rabbit: Rabbit, system: System, agents: Path, pika: Client
) -> None:
    """It begins again when one slot is free; it must not go on with one delivery at a time."""
    (agents / "alice.yaml").write_text(f"name: alice\nlimits: {{concurrency: {CONCURRENCY}}}")
    system.env["HUTCH_AGENTS"] = str(agents)
    system.agents("alice")
    for number in range(CONCURRENCY):
        pika.send("alice", f"[[latency {1 + number / 2}]]go")  # their slots come free one by one
    pika.replies(CONCURRENCY)
    until = time.monotonic() + PATIENCE_S
    while (found := prefetch(rabbit)) != CONCURRENCY:
        assert time.monotonic() < until, f"it takes {found} at a time"


def prefetch(rabbit: Rabbit) -> int | None:
    listed = rabbit.ctl("list_consumers", "-p", rabbit.vhost, "queue_name", "prefetch_count")
    consumers = dict(line.split() for line in listed.splitlines())
    return int(consumers["agent.alice"]) if "agent.alice" in consumers else None
