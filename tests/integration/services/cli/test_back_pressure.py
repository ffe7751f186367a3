"""A broker that is short of memory: commands and agents under its alarm and after it."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

SHORT = "the broker takes no messages: its memory or disk is short"


def readiness(child: Child) -> str:
    port = child.wait_for(r'health is served".*"port": (\d+)')[1]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=10) as reply:
            return str(reply.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())


def test_status_reports_a_broker_that_takes_no_messages(system: System, rabbit: Rabbit) -> None:
    assert SHORT not in system.hutch("status").stdout
    with rabbit.alarm():
        assert SHORT in system.hutch("status").stdout
        assert '"takes_messages":false' in system.hutch("status", "--json").stdout
        assert f"fault: broker: {SHORT}" in system.hutch("doctor").stdout
    assert SHORT not in system.hutch("status").stdout


def test_a_run_continues_under_the_alarm_and_its_response_comes_after_it(
    system: System, rabbit: Rabbit, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    pika.send("bob", "[[latency 8]]Write.")
    until(lambda: len(asked()) == 1)
    with rabbit.alarm():
        bob.wait_for("run ended")
        until(lambda: readiness(bob).startswith(SHORT))
        said = system.hutch("send", "bob", "Another one.")
        assert said.returncode == 1
        assert "publish again with the same message_id" in said.stderr
    assert pika.reply().status == "ok"
    until(lambda: readiness(bob) == "ok\n")
