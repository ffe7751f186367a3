"""The invariants on whole processes: they hold at rest, and notice what each is there for."""

from __future__ import annotations

import json

import pika as amqp
import pytest

from shared.contract import topology
from tests.support.client import Client
from tests.support.invariants import Rest
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")


@pytest.fixture
def rest(system: System, broker_url: str) -> Rest:
    return Rest(system, broker_url)


def test_after_a_task_and_its_answer_nothing_is_left(
    system: System, pika: Client, rest: Rest
) -> None:
    system.agents("bob", "alice")
    assert pika.ask("alice", '[[call bob {"prompt": "Write."}]]').status == "ok"
    assert rest.settled(pika) == []
    assert rest.ended() == []


def test_a_run_under_way_is_open_takes_a_slot_and_owes_an_answer(
    system: System, pika: Client, rest: Rest
) -> None:
    system.agents("bob")
    call = pika.send("bob", "[[latency 3]]Write.")
    until(lambda: "open runs: 1 of bob" in rest.wrong())
    [slots] = [it for it in rest.wrong(pika) if it.startswith("slots")]
    assert slots.endswith("1 taken and 1 open runs")
    assert f"unanswered: {call}" in rest.wrong(pika)
    assert rest.settled(pika) == []


def test_a_message_without_a_consumer_is_reported_as_waiting_and_its_consumer_as_missing(
    system: System, pika: Client, rest: Rest
) -> None:
    [bob] = system.agents("bob")
    system.hutch("pause", "bob")
    bob.wait_for("agent.paused")
    until(lambda: not pika.consumers("agent.bob"))
    pika.send("bob", "Write.")
    until(lambda: "waiting: 1 in agent.bob" in rest.wrong())
    assert "consumers: 0 of 1 at agent.bob" in rest.wrong()
    assert rest.ended() == ["unacked: 1 in agent.bob"]


def test_a_test_may_leave_only_the_state_that_it_has_excused(
    system: System, pika: Client, rest: Rest
) -> None:
    rest.excused["waiting"] = "no process serves it"
    system.agents("bob")
    [queue] = topology.mailbox("alice").queues
    pika.channel.queue_declare(queue.name, durable=True, arguments=queue.arguments)
    pika.channel.queue_bind(queue.name, topology.TASKS, "alice")
    call = pika.send("alice", "Write.")
    until(lambda: rest.wrong(pika) == [f"unanswered: {call}"])


def test_two_answers_that_differ_are_reported_and_a_copy_is_not(
    system: System, pika: Client, rest: Rest
) -> None:
    system.agents("bob")
    reply = pika.ask("bob", "Write.")
    properties = amqp.BasicProperties(
        correlation_id=reply.correlation_id, message_id=reply.message_id
    )
    copied = json.dumps(reply.body).encode()
    pika.channel.basic_publish("", pika.queue, copied, properties)
    assert rest.settled(pika) == []
    other = json.dumps(reply.body | {"content": "other"}).encode()
    pika.channel.basic_publish("", pika.queue, other, properties)
    until(lambda: rest.wrong(pika) == [f"answered in two ways: {reply.correlation_id}"])
