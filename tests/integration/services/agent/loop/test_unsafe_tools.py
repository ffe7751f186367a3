"""A tool that must not run twice, and the deaths around it. It counts what it has done."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.clerk import LONG_S, Clerk, call, dead_letters, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long


@pytest.fixture
def clerk(system: System, agents: Path) -> Clerk:
    return define(system, agents)


@pytest.mark.essential
def test_a_tool_that_was_acting_when_its_process_died_is_not_called_again(
    system: System, pika: Client, asked: Asked, clerk: Clerk
) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", {"id": "bill-7", "content": call("pay", LONG_S)})
    until(lambda: clerk.effects)
    first.kill()
    system.agents("clerk")
    reply = pika.reply()
    assert reply.status == "failed"
    assert (
        reply.content == "pay was called, and there is no result: whether it has acted is unknown"
    )
    assert clerk.effects == ["7"]
    assert len(asked()) == 1
    (dead_letter,) = dead_letters(system)
    assert (dead_letter["agent"], dead_letter["message_id"], dead_letter["attempts"]) == (
        "clerk",
        "bill-7",
        1,
    )
    shown = system.hutch("show", "bill-7").stdout
    assert 'pay was called with {"order":7,"seconds":600' in shown
    assert 'pay was called with {"order":7,"seconds":600' in str(dead_letter["last"])


def test_a_tool_whose_result_was_recorded_is_not_in_doubt(
    system: System, pika: Client, asked: Asked, clerk: Clerk
) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", f"{call('pay', 0)}[[then]][[latency 3]]")
    until(lambda: len(asked()) == 2)  # the model gets the result only once it is recorded
    first.kill()
    system.agents("clerk")
    assert pika.reply().status == "ok"
    assert clerk.effects == ["7"]


def test_a_repeatable_tool_is_called_again_under_the_same_key(
    system: System, pika: Client, asked: Asked, clerk: Clerk
) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", call("lookup", 3))
    until(lambda: clerk.effects)
    first.kill()
    system.agents("clerk")
    assert pika.reply().status == "ok"
    key, again = clerk.effects
    assert key == again
    assert ".1.1.1." in key
    assert len(asked()) == 2
    assert "idempotency_key" not in str(asked())


def test_a_stop_lets_a_tool_that_acts_finish(system: System, pika: Client, clerk: Clerk) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", call("pay", 1))
    until(lambda: clerk.effects)
    for _ in range(2):  # the second asks for a stop
        first.process.send_signal(signal.SIGTERM)
    assert first.ended() == 0
    system.agents("clerk")
    assert pika.reply().status == "ok"
    assert clerk.effects == ["7"]


def test_a_stop_that_cannot_wait_leaves_the_run_in_doubt(
    system: System, pika: Client, clerk: Clerk
) -> None:
    system.agents("clerk")
    pika.send("clerk", call("pay", LONG_S))
    until(lambda: clerk.effects)
    assert system.hutch("shutdown", "clerk", "--stop").returncode == 0
    system.agents("clerk")
    assert pika.reply().status == "failed"
    assert clerk.effects == ["7"]
