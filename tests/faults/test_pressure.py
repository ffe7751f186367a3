"""A broker that takes no messages: publishers wait, what runs goes on, readiness says why."""

from __future__ import annotations

import re
from typing import Literal

import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.agents import http_get
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long


def ready(child: Child) -> tuple[int, str]:
    return http_get(int(child.wait_for(r'health is served".*"port": (\d+)')[1]), "ready")


def unsent(child: Child) -> float:
    port = int(child.wait_for(r'health is served".*"port": (\d+)')[1])
    found = re.search(r"^hutch_outbox_unsent(?:{.*})? (\S+)$", http_get(port, "metrics")[1], re.M)
    return float(found[1]) if found else 0.0


@pytest.mark.parametrize("short_of", ["memory", "disk"])
def test_under_an_alarm_runs_end_and_are_answered_when_it_is_over(
    system: System, pika: Client, rabbit: Rabbit, asked: Asked, short_of: Literal["memory", "disk"]
) -> None:
    [bob] = system.agents("bob")
    assert pika.ask("bob", "Write.").status == "ok"
    call = pika.send("bob", "[[latency 8]][[reply slow]]")
    until(lambda: len(asked()) == 2)
    with rabbit.alarm(short_of):
        bob.wait_for(r'(?s)"run ended".*"run ended"')
        until(lambda: "takes no messages" in ready(bob)[1])
        until(lambda: unsent(bob) == 1)
    reply = pika.reply()
    assert (reply.correlation_id, reply.content) == (call, "slow")
    until(lambda: ready(bob)[0] == 200 and unsent(bob) == 0)
    assert len(asked()) == 2


def test_a_task_for_a_full_mailbox_is_published_again_until_there_is_space(
    system: System, pika: Client, rabbit: Rabbit
) -> None:
    [alice] = system.agents("alice")
    full = '{"max-length": 1, "overflow": "reject-publish"}'
    rabbit.ctl("set_policy", "-p", rabbit.vhost, "full", r"^agent\.bob$", full)
    pika.send("bob", "First.")
    pika.send("bob", "Second.")  # a quorum queue takes one more than it may hold
    call = pika.send("alice", '[[call bob {"prompt": "Write."}]]')
    alice.wait_for("worker not asked yet.*the queue is full")
    system.agents("bob")
    replies = {reply.correlation_id: reply.status for reply in pika.replies(2)}
    while call not in replies:
        reply = pika.reply()
        replies[reply.correlation_id] = reply.status
    assert set(replies.values()) == {"ok"}


def test_a_client_whose_reply_queue_is_full_keeps_no_other_client_of_its_task_waiting(
    system: System, pika: Client
) -> None:
    [bob] = system.agents("bob")
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    pika.channel.queue_declare("reply.full", arguments=full)
    pika.channel.basic_publish("", "reply.full", b"filling")
    task = {"id": "shared", "content": "[[latency 1]]Write."}
    pika.send("bob", task, reply_to="reply.full")
    pika.send("bob", task)
    assert pika.reply().status == "ok"
    until(lambda: unsent(bob) == 1)
    for _ in range(2):
        pika.taken("reply.full")
    until(lambda: unsent(bob) == 0)


def test_a_response_is_published_again_until_its_full_reply_queue_has_space(
    system: System, pika: Client
) -> None:
    [bob] = system.agents("bob")
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    pika.channel.queue_declare("reply.full", arguments=full)
    for _ in range(3):
        pika.send("bob", "Write.", reply_to="reply.full")
    until(lambda: bob.output.count('"run ended"') == 3)
    until(lambda: unsent(bob) >= 1)
    received = {pika.taken("reply.full")[1] for _ in range(3)}
    assert len(received) == 3, "three responses, each once"
    until(lambda: unsent(bob) == 0)
