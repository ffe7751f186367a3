"""Whole processes behind a network that stalls, cuts in the middle of a frame, or is slow."""

from __future__ import annotations

import time

import pytest

from shared.broker.link import HEARTBEAT_S
from tests.support.client import Client
from tests.support.network.proxy import Proxy
from tests.support.processes.agents import ASK
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long

MOST_STALLED_S = 3 * HEARTBEAT_S + 15.0


def test_agents_notice_a_half_open_network_and_reconnect(
    system: System, pika: Client, asked: Asked, network: Proxy
) -> None:
    agents = system.agents("bob", "alice")
    assert pika.ask("alice", ASK).status == "ok"
    pika.send("alice", ASK)
    until(lambda: len(asked()) == 5)
    network.stall()
    began, before = time.monotonic(), network.connections
    until(lambda: network.connections >= before + 2 * len(agents))
    assert time.monotonic() - began < MOST_STALLED_S
    later = pika.send("bob", "Write.")
    network.flow()
    replies = {reply.correlation_id: reply.status for reply in pika.replies(2)}
    assert replies[later] == "ok"
    assert set(replies.values()) == {"ok"}
    assert len(asked()) == 7, "four calls more, and none twice"
    assert [agent.process.poll() for agent in agents] == [None, None]


def test_frames_that_are_cut_in_the_middle_cost_no_answer(
    system: System, pika: Client, asked: Asked, network: Proxy
) -> None:
    system.agents("bob", "alice")
    for number in range(1, 6):
        network.cut()
        assert pika.ask("alice", "[[reply fine]]").status == "ok"
        assert len(asked()) == number
    assert network.connections > 4, "some were made anew"


def test_a_slow_network_makes_slow_answers(system: System, pika: Client, network: Proxy) -> None:
    agents = system.agents("bob", "alice")
    before = network.connections
    network.delay(0.5)
    replies = {pika.ask("alice", ASK).status for _ in range(2)}
    assert replies == {"ok"}
    assert network.connections == before
    network.flow()
    assert [agent.end() for agent in agents] == [0, 0]
