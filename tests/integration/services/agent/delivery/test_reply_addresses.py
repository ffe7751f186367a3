"""Forged reply addresses: no other client loses an answer, and no connection is closed."""

from __future__ import annotations

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.running import System

FORGED = "amq.rabbitmq.reply-to.g1h2.nobody"


def test_a_forged_direct_reply_is_refused_and_never_published_to(
    system: System, pika: Client, rabbit: Rabbit
) -> None:
    [bob] = system.agents("bob")
    assert pika.ask("bob", "Write.").status == "ok"
    connections = rabbit.connections()
    pika.send("bob", "Write.", reply_to=FORGED, message_id="forged")
    pika.send("bob", b'{"content": ', reply_to=FORGED, message_id="bad")
    dead_letters = [pika.taken("dead")[0]["x-hutch-message-id"] for _ in range(2)]
    assert set(dead_letters) == {"forged", "bad"}
    assert pika.ask("bob", "Write.").status == "ok"
    assert rabbit.connections() == connections
    assert "not confirmed" not in bob.output
