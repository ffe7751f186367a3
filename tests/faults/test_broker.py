"""The broker goes, or takes away what an agent needs, while runs are open."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.machine.rabbitmq_node import RabbitNode
from shared.contract.topology import TASKS
from tests.support.brokers.rabbitmq import Rabbit, crash
from tests.support.client import Client, client
from tests.support.machine import need
from tests.support.processes.agents import ASK
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long

AWAY_S = 5.0
KEPT = "reply.kept"


def send(url: str, agent: str, content: str) -> None:
    """Confirmed, with a reply queue that outlives the client and the broker."""
    with client(url) as before:
        before.channel.confirm_delivery()
        before.channel.queue_declare(KEPT, durable=True)
        before.send(agent, content, reply_to=KEPT, delivery_mode=2)


def status(url: str) -> str:
    with client(url) as after:
        return str(json.loads(after.taken(KEPT)[1])["status"])


def test_a_broker_that_is_stopped_and_started_costs_no_answer_and_no_call(
    system: System, rabbit: Rabbit, asked: Asked
) -> None:
    agents = system.agents("bob", "alice")
    send(rabbit.url, "alice", ASK)
    until(lambda: len(asked()) == 2)
    with rabbit.stopped():
        time.sleep(AWAY_S)  # as long as an upgrade of the broker takes
    assert status(rabbit.url) == "ok"
    assert len(asked()) == 3
    assert [agent.process.poll() for agent in agents] == [None, None]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RabbitNode]:
    need("rabbitmq-server")
    node = RabbitNode(tmp_path / "node")
    node.start()
    try:
        yield node
    finally:
        node.stop()


class TestOnANodeOfItsOwn:
    @pytest.fixture
    def broker_url(self, node: RabbitNode) -> str:
        return node.url

    @pytest.fixture
    def rabbit(self, node: RabbitNode) -> Rabbit:
        return Rabbit(node.url, "/", node.ctl("version"), node.ctl)

    @pytest.mark.long
    def test_a_broker_that_is_killed_has_lost_nothing_that_it_had_confirmed(
        self, system: System, node: RabbitNode, asked: Asked
    ) -> None:
        bob, _ = system.agents("bob", "alice")
        send(node.url, "alice", ASK)
        until(lambda: len(asked()) == 2)
        bob.end()
        for _ in range(5):
            send(node.url, "bob", "Write.")
        crash(node)
        system.agents("bob")
        assert [status(node.url) for _ in range(6)] == ["ok"] * 6


def test_a_mailbox_that_is_deleted_is_declared_and_consumed_again(
    system: System, pika: Client, rabbit: Rabbit
) -> None:
    [bob] = system.agents("bob")
    assert pika.ask("bob", "Write.").status == "ok"
    rabbit.ctl("delete_queue", "-p", rabbit.vhost, "agent.bob")
    until(lambda: "agent.bob\t1" in consumers(rabbit))
    assert pika.ask("bob", "Write.").status == "ok"
    assert bob.process.poll() is None


def consumers(rabbit: Rabbit) -> str:
    return rabbit.ctl("list_queues", "-p", rabbit.vhost, "name", "consumers")


def test_a_mailbox_without_its_binding_gets_its_tasks_all_the_same(
    system: System, pika: Client
) -> None:
    system.agents("bob")
    pika.channel.queue_unbind("agent.bob", TASKS, "bob")
    assert pika.ask("bob", "Write.").status == "ok"


def test_permissions_that_are_taken_away_and_given_back_cost_no_answer(
    system: System, rabbit: Rabbit, asked: Asked
) -> None:
    agents = system.agents("bob", "alice")
    send(rabbit.url, "alice", ASK)
    until(lambda: len(asked()) == 2)
    rabbit.ctl("set_permissions", "-p", rabbit.vhost, "guest", "^$", "^$", "^$")
    rabbit.close_connections()
    until(lambda: all("may not" in agent.output for agent in agents))
    time.sleep(2)
    assert max(agent.output.count("may not") for agent in agents) < 10, "no tight loop"
    rabbit.ctl("set_permissions", "-p", rabbit.vhost, "guest", ".*", ".*", ".*")
    assert status(rabbit.url) == "ok"
    assert len(asked()) == 3
