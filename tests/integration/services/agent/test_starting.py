"""Processes that start while something is away, and that meet it again while they run."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from shared.process.runtime import START_S
from shared.store.database.migrate import migrate
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client, client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System
from tests.support.stores.postgresql import PASSWORD, Postgres

pytestmark = pytest.mark.long


@pytest.fixture
def postgresql_system(system: System, postgresql_url: str) -> System:
    asyncio.run(migrate(postgresql_url))
    system.env["HUTCH_STORE"] = postgresql_url
    return system


def test_a_broker_that_is_away_is_waited_for(system: System, rabbit: Rabbit, agents: Path) -> None:
    with rabbit.stopped():
        children = [system.start("services.agent", "bob"), system.start("services.scheduler")]
        for child in children:
            child.wait_for("no broker can be reached|connection to the broker was lost")
    children[0].wait_for("consuming")
    children[1].wait_for("scheduling|no agent has a schedule")
    with client(rabbit.url) as pika:
        assert pika.ask("bob", "Write.").status == "ok"


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
def test_a_store_that_is_away_is_waited_for(
    postgresql_system: System, postgresql: Postgres, postgresql_url: str
) -> None:
    system = postgresql_system
    with postgresql.away(postgresql_url):
        children = [system.start("services.agent", "bob"), system.start("services.scheduler")]
        for child in children:
            child.wait_for("store unavailable")
    children[0].wait_for("consuming")
    children[1].wait_for("scheduling|no agent has a schedule")


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
@pytest.mark.parametrize(
    ("variable", "right", "wrong", "said"),
    [
        ("HUTCH_STORE", PASSWORD, "wr0ng", "check HUTCH_STORE"),
        ("RABBITMQ_URL", "guest:guest", "guest:wr0ng", "correct the user or password"),
    ],
)
def test_a_fault_that_no_wait_overcomes_is_reported_at_once(
    postgresql_system: System, variable: str, right: str, wrong: str, said: str
) -> None:
    system, began = postgresql_system, time.monotonic()
    changed = system.env[variable].replace(right, wrong)
    bob = system.start("services.agent", "bob", **{variable: changed})
    assert bob.ended() == 1
    assert time.monotonic() - began < START_S / 2
    assert said in bob.output
    assert "wr0ng" not in bob.output


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
def test_a_store_that_is_away_while_runs_continue_costs_no_call_twice(
    postgresql_system: System, postgresql: Postgres, postgresql_url: str, pika: Client, asked: Asked
) -> None:
    """Longer than the silence after which a replica's runs are taken over."""
    first, second = postgresql_system.agents("bob", "bob")
    pika.send("bob", "[[latency 1]]Write.")
    pika.send("bob", "[[latency 6]]Write.")
    while len(asked()) < 2:
        time.sleep(0.05)
    with postgresql.away(postgresql_url):
        first.wait_for("store unavailable")
        second.wait_for("store unavailable")
        time.sleep(5)
    assert [reply.status for reply in pika.replies(2)] == ["ok", "ok"]
    assert len(asked()) == 2
    assert "run taken over" not in first.output + second.output
