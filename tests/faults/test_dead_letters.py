"""Bad messages whose dead letters are large, or find `dead` full: nothing waits behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pika.exceptions as pika_exceptions
import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes.agents import http_get
from tests.support.processes.clerk import LONG_S, call, dead_letters, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

BAD = b'{"content": '
MORE_THAN_PREFETCHED = 21
FOREIGN: dict[str, Any] = {
    "headers": {"x-hutch-first-reason": "x" * 130_000, "x-delivery-count": 2**63 - 1}
}
"""A header that any client may send; copied into a dead letter it would not fit a frame."""


def fill_dead(pika: Client, rabbit: Rabbit) -> None:
    """Publish until the broker refuses; these messages are no agent's dead letters."""
    full = '{"max-length": 1, "overflow": "reject-publish"}'
    rabbit.ctl("set_policy", "-p", rabbit.vhost, "full", "^dead$", full)
    filling = pika.channel.connection.channel()
    filling.confirm_delivery()
    filling.queue_declare("dead", passive=True)

    def refused() -> bool:
        try:
            filling.basic_publish("", "dead", b"filling")
        except pika_exceptions.NackError:
            return True
        return False

    until(refused)
    filling.close()


def kept(child: Child) -> float:
    port = int(child.wait_for(r'health is served".*"port": (\d+)')[1])
    found = re.search(
        r"^hutch_dead_letters_kept(?:{.*})? (\S+)$", http_get(port, "metrics")[1], re.M
    )
    return float(found[1]) if found else -1.0


def test_bad_messages_with_large_headers_stop_neither_mailbox_nor_swarm_nor_unrouted(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    bob.end()
    calls = {pika.send("bob", BAD, **FOREIGN) for _ in range(MORE_THAN_PREFETCHED)}
    agents = system.agents("bob", "tom")
    replies = pika.replies(MORE_THAN_PREFETCHED)
    assert {reply.correlation_id for reply in replies} == calls
    assert {reply.status for reply in replies} == {"refused"}
    assert pika.ask("bob", "Write.").status == "ok"

    pika.send("", {"type": "gossip"}, exchange="hutch.swarm.research", **FOREIGN)
    pika.send("", {"type": "trigger", "id": "all"}, exchange="hutch.swarm.research")
    until(lambda: len(asked()) == 2)

    assert pika.ask("alcie", "Hello?", **FOREIGN).content.startswith("no agent 'alcie'")
    assert pika.ask("alcie", "Hello?").content.startswith("no agent 'alcie'")

    until(lambda: len(dead_letters(system)) == MORE_THAN_PREFETCHED + 3)
    firsts = [str(it["first"]["reason"]) for it in dead_letters(system)]
    assert sum(first.endswith("(cut, it had 130000 bytes)") for first in firsts) == len(firsts) - 1
    assert {it["place"] for it in dead_letters(system)} == {"queue"}
    assert [agent.process.poll() for agent in agents] == [None, None]


REPLAYED = "an operator has replayed it"


def test_while_dead_is_full_the_store_keeps_dead_letters_and_no_delivery_waits(
    system: System,
    pika: Client,
    rabbit: Rabbit,
    asked: Asked,
    agents: Path,
    excuses: dict[str, str],
) -> None:
    excuses["answered in two ways"] = REPLAYED
    (agents / "bob.yaml").write_text("name: bob", "utf-8")
    (agents / "tom.yaml").write_text("name: tom\nswarm: research", "utf-8")
    system.env["HUTCH_AGENTS"] = str(agents)
    bob, _ = system.agents("bob", "tom")
    fill_dead(pika, rabbit)
    assert {pika.ask("bob", BAD).status for _ in range(3)} == {"refused"}
    assert pika.ask("dora", {"id": "for-dora", "content": "Hello"}).status == "refused"
    pika.send("", {"type": "gossip"}, exchange="hutch.swarm.research")
    pika.send("", {"type": "trigger", "id": "all"}, exchange="hutch.swarm.research")
    until(lambda: len(asked()) == 1)
    assert pika.ask("bob", "Write.").status == "ok"
    until(lambda: kept(bob) == 5)

    found = [it for it in dead_letters(system) if it["place"] == "store"]
    assert sorted(it["queue"] for it in found) == ["agent.bob"] * 3 + ["swarm.tom", "unrouted"]
    shown = system.hutch("dead", "show", str(found[0]["id"]))
    assert "kept in the store: the queue 'dead' did not take it\n" in shown.stdout

    (agents / "dora.yaml").write_text("name: dora", "utf-8")
    system.agents("dora")
    assert system.hutch("dead", "replay", "--agent", "dora").returncode == 0
    assert pika.reply().status == "ok"
    dropped = system.hutch("dead", "drop", "--reason", "not JSON", "--yes")
    assert dropped.stdout == "dropped 3 dead letters\n"
    until(lambda: kept(bob) == 1)


def test_a_run_that_is_given_up_ends_though_dead_is_full(
    system: System, pika: Client, rabbit: Rabbit, agents: Path, excuses: dict[str, str]
) -> None:
    excuses["answered in two ways"] = REPLAYED
    clerk = define(system, agents)
    [first] = system.agents("clerk")
    pika.send("clerk", {"id": "bill-7", "content": call("pay", LONG_S)})
    until(lambda: clerk.effects)
    fill_dead(pika, rabbit)
    first.kill()
    system.agents("clerk")
    assert pika.reply().status == "failed"
    [letter] = [it for it in dead_letters(system) if it["place"] == "store"]
    assert json.loads(letter["body"])["id"] == "bill-7"
    system.hutch("dead", "replay", str(letter["id"]), "--tool-done", "paid")
    assert pika.reply().status == "ok"
    assert [it for it in dead_letters(system) if it["place"] == "store"] == []


def test_a_refusal_that_no_store_can_keep_keeps_no_neighbour_waiting(
    system: System, pika: Client
) -> None:
    """Its reply queue is full, so it can't be sent now; with a NUL in it, it can't wait either."""
    system.agents("bob")
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    pika.channel.queue_declare("reply.full", arguments=full)
    pika.channel.basic_publish("", "reply.full", b"filling")
    for _ in range(MORE_THAN_PREFETCHED):
        pika.send("bob", BAD, reply_to="reply.full", correlation_id="a\0b")
        pika.send("alcie", BAD, reply_to="reply.full", correlation_id="a\0b")
    assert pika.ask("bob", "Write.").status == "ok"
    assert pika.ask("alcie", "Write.").status == "refused"


def test_a_reply_queue_that_is_full_keeps_no_bad_message_and_no_neighbour_waiting(
    system: System, pika: Client
) -> None:
    [bob] = system.agents("bob")
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    pika.channel.queue_declare("reply.full", arguments=full)
    for _ in range(MORE_THAN_PREFETCHED):
        pika.send("bob", BAD, reply_to="reply.full")
    assert pika.ask("bob", "Write.").status == "ok"
    for _ in range(MORE_THAN_PREFETCHED):
        _, body = pika.taken("reply.full")
        assert json.loads(body)["status"] == "refused"
    assert bob.process.poll() is None
