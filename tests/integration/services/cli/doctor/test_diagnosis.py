"""Each thing that `hutch doctor` finds on a broker or in a store, caused on purpose."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.engine import Connection

from shared.contract import topology
from shared.contract.entities import Topology
from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.messages import sent
from shared.store.processes import heartbeats, pauses
from tests.support.brokers.divided import divide
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.command_line import hutch
from tests.support.machine import FAKETIME
from tests.support.processes.running import System
from tests.support.stores.postgresql import Postgres

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

BOB = "{name: bob, description: Writes., schedule: [{name: plan, every: 1m, prompt: Go.}]}"


@pytest.fixture
def home(broker_url: str, tmp_path: Path, agents: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Bob and a migrated store, on a fresh vhost; no process runs."""
    (agents / "bob.yaml").write_text(BOB)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABBITMQ_URL", broker_url)
    monkeypatch.setenv("HUTCH_STORE", f"sqlite:///{tmp_path / 'hutch.db'}")
    monkeypatch.delenv("HUTCH_AGENTS", raising=False)
    asyncio.run(migrate(f"sqlite:///{tmp_path / 'hutch.db'}"))
    return tmp_path


def write(home: Path, operation: Callable[[Connection], object]) -> None:
    async def run() -> None:
        async with open_store(f"sqlite:///{home / 'hutch.db'}") as store:
            await store.write("", operation)

    asyncio.run(run())


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "hutch.db", isolation_level=None)) as store:
        store.execute(statement)


def diagnosed() -> tuple[int, str]:
    """The exit code, and a line for each finding."""
    done = hutch("doctor", "--json")
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert all(it["remedy"] for it in found)
    return done.exit_code, "\n".join(
        f"{it['severity']}: {it['area']}: {it['sentence']}" for it in found
    )


def test_what_waits_for_a_process_is_a_fault_and_a_broker_that_was_never_used_is_none(
    home: Path, pika: Client
) -> None:
    code, text = diagnosed()
    assert code == 1
    assert "advice: queues: the broker has no exchange 'hutch.tasks': no agent was started" in text
    assert "advice: processes: no process of bob runs" in text
    assert "fault: processes: no scheduler runs: nothing wakes bob" in text
    assert "not seen: queues: queues of names that the store does not know" in text

    declare(pika, topology.system())
    assert "advice: queues: the broker has no queue 'agent.bob'" in diagnosed()[1]
    declare(pika, topology.mailbox("bob"))
    pika.send("bob", {"content": "Hello.", "id": uuid4().hex})
    write(home, lambda connection: pauses.pause(connection, "bob"))
    code, text = diagnosed()
    assert code == 1
    assert "fault: processes: no process of 'bob' runs: it has 1 message and 0 open runs" in text
    assert "advice: processes: 'bob' is paused, with 1 message and 0 open runs" in text
    assert "no exchange" not in text


def test_queues_of_another_kind_and_of_agents_without_a_file_are_found(
    home: Path, pika: Client
) -> None:
    declare(pika, topology.system())
    pika.channel.queue_declare("agent.bob", durable=True, arguments={"x-queue-type": "quorum"})
    declare(pika, topology.mailbox("gone"))
    declare(pika, topology.mailbox("new"))
    write(home, lambda connection: heartbeats.record(connection, "gone.1", "gone"))
    write(home, lambda connection: sent.record(connection, "t1", "new"))
    write(home, lambda connection: sent.record(connection, "t2", "hutch.swarm.office"))
    code, text = diagnosed()
    assert code == 1
    assert "fault: queues: the queue 'agent.bob' exists with another 'x-" in text
    assert "advice: queues: the queue 'agent.gone' has 0 messages, but no file here is" in text
    assert "advice: queues: the queue 'agent.new' has 0 messages, but no file here is" in text
    assert "office" not in text


def test_a_user_without_the_rights_of_an_operator_is_found(
    home: Path, rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = divide(rabbit, home / "users", home / "agents").folder
    monkeypatch.setenv("RABBITMQ_URL", (users / "agent.bob").read_text("utf-8").strip())
    code, text = diagnosed()
    assert code == 1
    assert (
        "fault: rights: the broker's user 'agent.bob' may not publish to 'hutch.tasks' (ask, send, "
        "trigger), nor publish to 'hutch.control' (cancel, shutdown), nor read the queue 'dead' "
        "(dead), nor declare and bind a queue 'reply.cli.…' (ask)"
    ) in text
    monkeypatch.setenv("RABBITMQ_URL", (users / "operator").read_text("utf-8").strip())
    code, text = diagnosed()
    assert "rights" not in text
    assert "not seen: queues: arguments of queues: the user 'operator' may not declare" in text


def test_a_store_of_another_revision_and_a_broker_that_is_away_are_faults(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(home, "UPDATE alembic_version SET version_num = '0001'")
    code, text = diagnosed()
    assert code == 1
    assert "fault: store: the store is at revision 0001, this version needs" in text
    monkeypatch.setenv("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:1/")
    monkeypatch.setenv("HUTCH_STORE", "postgresql://hutch:hunter2@127.0.0.1:1/hutch")
    code, text = diagnosed()
    assert "fault: store: the store can't be reached" in text
    assert "fault: broker: no broker can be reached at 127.0.0.1:1" in text
    assert "hunter2" not in text


def test_a_schedule_that_its_scheduler_does_not_know_is_late(home: Path, system: System) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "tom.yaml").write_text("{name: tom}")
    scheduler = system.start("services.scheduler", HUTCH_AGENTS=str(elsewhere))
    scheduler.wait_for("nothing to do")
    change(
        home,
        "INSERT INTO ticks (tick_id, agent, schedule, nominal_at, decided_at, outcome) "
        "VALUES ('bob.plan@seen', 'bob', 'plan', 1e9, 1e9, 'seen')",
    )
    _, text = diagnosed()
    late = "processes: the schedule 'bob.plan' is late, although a scheduler runs"
    assert f"advice: {late}" in text
    assert "no scheduler runs" not in text
    system.start("services.agent", "bob", HUTCH_AGENTS=str(home / "agents")).wait_for("consuming")
    assert f"fault: {late}" in diagnosed()[1]


@pytest.mark.needs("faketime")
def test_a_clock_that_differs_from_the_stores_is_a_fault(
    home: Path, system: System, postgresql: Postgres
) -> None:
    with postgresql.database() as url:
        asyncio.run(migrate(url))
        clock = {"LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1", "FAKETIME": "+1h"}
        done = system.hutch("doctor", HUTCH_STORE=url, **clock)
    assert done.returncode == 1
    assert "fault: store: the store's clock is 3600 s behind this machine's" in done.stdout


def declare(client: Client, needs: Topology) -> None:
    for exchange in needs.exchanges:
        client.channel.exchange_declare(
            exchange.name, exchange.type, durable=True, arguments={**exchange.arguments}
        )
    for queue in needs.queues:
        client.channel.queue_declare(queue.name, durable=True, arguments={**queue.arguments})
    for binding in needs.bindings:
        client.channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)
