"""Runs continue when processes die, freeze, end, or lose their broker."""

import json
import signal
import time

import pytest

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client, client
from tests.support.processes.agents import ASK
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import PATIENCE_S, System, until

MOST_FAILOVER_S = 45.0
"""Three seconds of silence, a restart and the work, on a slow machine that does much else: below
the minute after which a manager asks again."""


def test_bob_is_killed_while_alice_waits_and_alice_still_answers(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob], _ = system.agents("bob"), system.agents("alice")
    pika.send("alice", ASK)
    until(lambda: len(asked()) == 2)
    bob.kill()
    began = time.monotonic()
    system.agents("bob")
    assert pika.reply().status == "ok"
    assert time.monotonic() - began < MOST_FAILOVER_S
    assert len(asked()) == 4, "three that finished, and the one that died with Bob"


@pytest.mark.essential
def test_alice_is_killed_while_she_waits_and_nothing_is_paid_twice(
    system: System, pika: Client, asked: Asked
) -> None:
    _, [alice] = system.agents("bob"), system.agents("alice")
    pika.send("alice", ASK)
    until(lambda: len(asked()) == 2)
    alice.kill()
    system.agents("alice")
    assert pika.reply().status == "ok"
    assert len(asked()) == 3


@pytest.mark.essential
def test_a_replica_takes_over_a_killed_ones_runs(
    system: System, pika: Client, asked: Asked
) -> None:
    both = system.agents("bob", "bob")
    pika.send("bob", "[[latency 10]]Write.")
    until(lambda: len(asked()) == 1)
    owner, replica = sorted(both, key=lambda bob: "run started" not in bob.output)
    owner.kill()
    assert pika.reply().status == "ok"
    replica.wait_for("run taken over")


def test_a_frozen_owner_finds_its_run_lost_when_it_wakes(
    system: System, pika: Client, asked: Asked
) -> None:
    both = system.agents("bob", "bob")
    pika.send("bob", "[[latency 10]]Write.")
    until(lambda: len(asked()) == 1)
    frozen = next(bob for bob in both if "run started" in bob.output)
    system.freeze(frozen)
    reply = pika.reply()
    frozen.process.send_signal(signal.SIGCONT)
    frozen.wait_for("run lost")
    assert reply.status == "ok"
    assert pika.ask(
        "bob", {"content": "[[latency 10]]Write.", "id": reply.body["task_id"]}
    ).body == (reply.body)


def test_a_drain_finishes_what_runs_and_leaves_the_rest(system: System, pika: Client) -> None:
    [bob] = system.agents("bob")
    pika.send("bob", "[[latency 1.5]]Write.")
    bob.wait_for("run started")
    assert bob.end() == 0
    assert pika.reply().status == "ok"
    later = pika.send("bob", "Write.")
    system.agents("bob")
    assert pika.reply().correlation_id == later


def test_a_stop_hands_over_at_once(system: System, pika: Client) -> None:
    [first] = system.agents("bob")
    pika.send("bob", "[[latency 4]]Write.")
    first.wait_for("run started")
    [second] = system.agents("bob")
    began = time.monotonic()
    assert system.hutch("shutdown", "bob", "--stop").returncode == 0
    assert first.ended() == second.ended() == 0
    assert time.monotonic() - began < PATIENCE_S / 2
    system.agents("bob")
    assert pika.reply().status == "ok"


def test_lost_connections_lose_no_task(system: System, broker_url: str, rabbit: Rabbit) -> None:
    bob, _ = system.agents("bob", "alice")
    with client(broker_url) as before:
        before.channel.queue_declare("reply.kept")
        before.send("alice", ASK, reply_to="reply.kept")
        bob.wait_for("run started")
        rabbit.close_connections()
    with client(broker_url) as after:
        _, body = after.taken("reply.kept")
    assert json.loads(body)["status"] == "ok"


def test_a_replica_with_another_store_refuses_to_start(system: System) -> None:
    system.agents("bob")
    other = system.env["HUTCH_STORE"].replace("hutch.db", "other.db")
    assert system.hutch("migrate", HUTCH_STORE=other).returncode == 0
    stranger = system.start("services.agent", "bob", HUTCH_STORE=other)
    assert stranger.ended() == 1
    assert "another replica of 'bob' runs with another store" in stranger.output
