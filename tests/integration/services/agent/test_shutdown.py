"""Processes that are asked to end: by a signal, by a row of their own, by a message."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from shared.contract.messages import ShutdownMode
from shared.contract.topology import CONTROL
from shared.store import open_store
from shared.store.processes import shutdowns
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.agents import lose_control_messages
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

LEFT = """
import atexit, threading, time
from concurrent.futures import ThreadPoolExecutor

def leave() -> str:
    ThreadPoolExecutor(1).submit(time.sleep, 600)
    threading.Thread(target=time.sleep, args=(600,)).start()
    atexit.register(time.sleep, 600)
    return "left"
"""

AT_ONCE_S = 2.5
"""Less than the three seconds of silence after which a dead process's runs are taken."""


def row(system: System, agent: str, mode: ShutdownMode) -> None:
    async def write() -> None:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            await store.write("", partial(shutdowns.request, agent=agent, mode=mode))

    asyncio.run(write())


def ready(child: Child) -> str:
    """The text of its readiness check."""
    served = re.search(r'health is served".*"port": (\d+)', child.output)
    assert served is not None
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{served[1]}/ready", timeout=10) as reply:
            return str(reply.read().decode().strip())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode().strip()


@pytest.mark.parametrize("mode", ["drain", "stop"])
def test_a_row_ends_a_process_though_no_message_arrives_and_not_the_next_one(
    system: System, pika: Client, mode: ShutdownMode
) -> None:
    [bob, other] = system.agents("bob", "bob")
    lose_control_messages(pika)
    row(system, "bob", mode)
    [later] = system.agents("bob")
    assert (bob.ended(), other.ended()) == (0, 0)
    assert pika.ask("bob", "Write.").status == "ok"
    assert later.process.poll() is None


def test_a_frozen_process_obeys_when_it_wakes(system: System, pika: Client) -> None:
    [bob] = system.agents("bob")
    system.freeze(bob)
    row(system, "bob", "drain")
    bob.process.send_signal(signal.SIGCONT)
    assert bob.ended() == 0


@pytest.mark.essential
def test_a_message_alone_ends_a_process(system: System, pika: Client) -> None:
    [bob] = system.agents("bob")
    pika.channel.basic_publish(CONTROL, "shutdown.bob", json.dumps({"type": "shutdown"}).encode())
    assert bob.ended() == 0


def test_a_process_that_is_asked_to_end_is_not_ready_at_once_and_takes_nothing_new(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    first = pika.send("bob", "[[latency 3]]Write.")
    until(lambda: len(asked()) == 1)
    assert ready(bob) == "ok"
    bob.process.send_signal(signal.SIGTERM)
    until(lambda: ready(bob) == "stopping")
    pika.send("bob", "Write more.")
    assert pika.reply().correlation_id == first
    assert bob.ended() == 0
    assert len(asked()) == 1


@pytest.mark.essential
def test_runs_that_outlast_the_grace_period_continue_at_once_elsewhere(
    system: System, pika: Client, asked: Asked
) -> None:
    system.env["HUTCH_DRAIN_S"] = "0.5"
    both = system.agents("bob", "bob")
    pika.send("bob", "[[latency 5]]Write.")
    until(lambda: len(asked()) == 1)
    first, second = sorted(both, key=lambda bob: "run started" not in bob.output)
    assert first.end() == 0
    began = time.monotonic()
    second.wait_for("run started")
    assert time.monotonic() - began < AT_ONCE_S
    assert pika.reply().status == "ok"
    assert len(asked()) == 2, "the call that was cut off, again"


def test_a_delivery_that_cannot_be_settled_holds_up_no_process_that_ends(
    system: System, pika: Client, rabbit: Rabbit
) -> None:
    [bob] = system.agents("bob")
    bob.process.send_signal(signal.SIGSTOP)
    pika.send("bob", b'{"content": ', message_id="bad")
    with rabbit.alarm():
        bob.process.send_signal(signal.SIGCONT)
        bob.wait_for("message refused")  # its dead letter is not taken now
        assert bob.end() == 0
    system.agents("bob")
    assert pika.taken("dead")[0]["x-hutch-message-id"] == "bad"


def test_threads_that_a_tool_has_left_behind_delay_no_process_that_ends(
    system: System, pika: Client, agents: Path
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "left.py").write_text(LEFT, "utf-8")
    (agents / "bob.yaml").write_text("name: bob\ntools: ['left.py:leave']", "utf-8")
    system.env["HUTCH_AGENTS"] = str(agents)
    [bob] = system.agents("bob")
    assert pika.ask("bob", "[[call leave {}]]").status == "ok"
    assert bob.end() == 0
