"""Peers: what one says, the others remember; triggers, the tick, the end."""

import json
import time
from pathlib import Path

import pytest

from shared.contract.messages import response_id, run_id
from tests.support.client import Client
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until


@pytest.mark.essential
def test_a_peer_remembers_another_members_broadcast(
    system: System, pika: Client, asked: Asked
) -> None:
    _, [richard, harry] = system.agents("tom"), system.agents("richard", "harry")
    assert pika.ask("tom", "[[reply The backups failed.]]").status == "ok"
    richard.wait_for("note stored")
    harry.wait_for("note stored")
    assert pika.ask("richard", "What should we do about the backups?").status == "ok"
    of_richard = asked()[-1]
    assert "From tom: The backups failed." in of_richard["messages"][0]["content"]
    assert "From tom" not in asked()[0]["messages"][0]["content"], "he doesn't hear himself"


def test_a_broadcast_trigger_wakes_every_member(system: System, pika: Client, asked: Asked) -> None:
    system.agents("tom", "richard", "harry")
    pika.send(
        "", {"type": "trigger", "id": "all", "content": "Report."}, exchange="hutch.swarm.research"
    )
    until(lambda: len(asked()) == 3)


def test_a_peer_that_reacts_stops_at_the_hop_limit(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, ping="swarm: game\non_peer: react", pong="swarm: game\non_peer: react")
    ping, pong = system.agents("ping", "pong")
    assert pika.ask("ping", "Begin.").status == "ok"
    until(lambda: "hop limit reached" in ping.output + pong.output)
    assert len(asked()) == 4, "the task, and three reactions to it"


def test_no_client_takes_the_ids_of_a_peers_note_and_of_the_reaction_to_it_in_advance(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, ping="swarm: game", pong="swarm: game\non_peer: react")
    _, pong = system.agents("ping", "pong")
    predicted = response_id(run_id("ping", "t"))
    assert pika.ask("pong", {"content": "Taken.", "id": predicted}).status == "ok"
    note = {"type": "response", "id": predicted, "task_id": "t", "agent": "harry"}
    note |= {"status": "ok", "content": "Heard first."}
    pika.send("", note, exchange="hutch.swarm.game")
    until(lambda: "Your peer harry has said" in str(asked()))
    assert pika.ask("ping", {"content": "[[reply Begin.]]", "id": "t"}).status == "ok"
    until(lambda: 'has said:\\n<quoted from="ping">\\nBegin.\\n</quoted>' in str(asked()))
    assert "message refused" not in pong.output


def test_an_agent_at_rest_sums_up_once(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, tom="swarm: research\ntick: 1s")
    system.agents("tom", "tom")
    pika.ask("tom", "[[reply I have looked into it.]]")
    until(lambda: len(asked()) == 2)
    assert "Sum up in one sentence" in asked()[-1]["messages"][-1]["content"]
    assert "I have looked into it." in asked()[-1]["messages"][-1]["content"]
    pika.ask("tom", "[[reply More.]]")
    until(lambda: len(asked()) == 4)
    summed = [said for said in asked() if "Sum up" in said["messages"][-1]["content"]]
    assert len(summed) == 2, "one for each change of its history, whatever the replicas"


def test_a_shutdown_is_received_ahead_of_the_backlog(system: System, pika: Client) -> None:
    [tom] = system.agents("tom")
    for _ in range(40):
        pika.send("tom", "[[latency 1]]Work.")
    tom.wait_for("run started")
    began = time.monotonic()
    body = {"type": "shutdown", "mode": "stop"}
    pika.send("shutdown.tom", body, exchange="hutch.control")
    assert tom.ended() == 0
    assert time.monotonic() - began < 20
    assert tom.output.count('"run ended"') < 40
    system.agents("tom")
    assert len({reply.body["task_id"] for reply in pika.replies(40)}) == 40


@pytest.mark.essential
def test_a_bad_broadcast_is_a_dead_letter_with_its_reason(system: System, pika: Client) -> None:
    system.agents("tom")
    pika.send("", {"type": "gossip"}, exchange="hutch.swarm.research")
    headers, body = pika.taken("dead")
    assert json.loads(body) == {"type": "gossip"}
    assert headers["x-hutch-reason"].startswith("type: 'gossip' is unknown")
    assert headers["x-hutch-queue"] == "swarm.tom"
