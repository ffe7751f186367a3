"""Schedulers as real processes."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from shared.contract.topology import CONTROL, mailbox_name
from shared.store import open_store, schema
from shared.store.database.migrate import migrate
from tests.support.client import Client, client
from tests.support.processes import running
from tests.support.processes.agents import http_get
from tests.support.processes.running import Child, System

EVERY = timedelta(seconds=1)
EVERY_SECOND = """
name: alice
schedule:
  - {name: plan, every: 1s, prompt: Plan the day., overlap: queue, missed: all}
"""


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "alice.yaml").write_text(EVERY_SECOND)
    return folder


@pytest.fixture
def system(broker_url: str, tmp_path: Path, agents: Path) -> Iterator[System]:
    with running.system(broker_url, tmp_path, agents) as system:
        asyncio.run(migrate(system.env["HUTCH_STORE"]))
        yield system


@pytest.fixture
def pika(broker_url: str) -> Iterator[Client]:
    with client(broker_url) as opened:
        yield opened


def scheduler(system: System) -> Child:
    child = system.start("services.scheduler")
    child.wait_for('"message": "scheduling"')
    return child


def ticks(pika: Client, seconds: int) -> list[datetime]:
    """The mailbox's ticks by nominal time, until so many seconds in a row are there."""
    found: list[datetime] = []
    while not found or not {min(found) + n * EVERY for n in range(seconds)} <= set(found):
        _, body = pika.taken(mailbox_name("alice"))
        found.append(datetime.fromisoformat(json.loads(body)["nominal_at"]))
    return found


def test_two_schedulers_send_every_tick_once(system: System, pika: Client) -> None:
    both = [scheduler(system), scheduler(system)]
    found = ticks(pika, 5)
    assert len(set(found)) == len(found)
    assert [one.end() for one in both] == [0, 0]


@pytest.mark.essential
def test_a_killed_scheduler_loses_nothing(system: System, pika: Client) -> None:
    first = scheduler(system)
    (begin,) = ticks(pika, 1)
    first.kill()
    scheduler(system)
    found = ticks(pika, 4)
    assert min(found) - begin <= EVERY


async def ended_runs(store_url: str) -> set[str]:
    query = select(schema.runs.c.task_id).where(schema.runs.c.status == "ok")
    async with open_store(store_url) as store:
        return await store.read(lambda connection: set(connection.execute(query).scalars()))


def test_a_tick_wakes_its_agent_and_the_next_waits_for_its_end(
    system: System, agents: Path
) -> None:
    (agents / "alice.yaml").write_text(EVERY_SECOND.replace("queue", "skip"))
    system.model()
    system.agents("alice")
    waking = scheduler(system)
    first = waking.wait_for(r'"tick": "([^"]+)"')[1]
    waking.wait_for(rf'"tick": "(?!{re.escape(first)})')
    assert first in asyncio.run(ended_runs(system.env["HUTCH_STORE"]))


def test_a_shutdown_ends_it_at_once(system: System, pika: Client) -> None:
    ending = scheduler(system)
    pika.send("shutdown.scheduler", {"type": "shutdown", "mode": "stop"}, exchange=CONTROL)
    assert ending.ended() == 0


def test_without_schedules_it_says_so_and_stays_ready(system: System, agents: Path) -> None:
    (agents / "alice.yaml").write_text("name: alice")
    idle = system.start("services.scheduler")
    idle.wait_for("no agent has a schedule")
    port = int(idle.wait_for(r'"port": (\d+)')[1])
    until = time.monotonic() + running.PATIENCE_S
    while (answer := http_get(port, "ready"))[0] != 200 and time.monotonic() < until:
        time.sleep(running.POLL_S)
    assert answer[0] == 200
    assert 'hutch_ticks_total{outcome="sent"} 0.0' in http_get(port, "metrics")[1]
    assert idle.end() == 0


def test_with_another_store_than_the_agents_it_refuses_to_start(
    system: System, tmp_path: Path
) -> None:
    scheduler(system)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    asyncio.run(migrate(other))
    refused = system.start("services.scheduler", HUTCH_STORE=other)
    assert refused.ended() == 1
    assert "another store" in refused.output
