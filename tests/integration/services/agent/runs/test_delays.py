"""Delayed tasks and background tasks, in real processes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from services.cli import output
from tests.support.client import Client
from tests.support.command_line import hutch
from tests.support.processes.agents import calling
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

DELAY = timedelta(seconds=4)


@pytest.mark.essential
def test_a_delayed_task_survives_the_death_of_its_process_and_starts_when_it_is_due(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    start = datetime.now(UTC) + DELAY
    pika.send("bob", {"content": "Write.", "id": "later", "not_before": start.isoformat()})
    bob.wait_for("run delayed")
    bob.kill()
    assert not asked()
    system.agents("bob")
    assert pika.reply().status == "ok"
    assert datetime.now(UTC) >= start
    assert len(asked()) == 1


def test_a_delayed_task_is_shown_counted_apart_and_cancelled(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in system.env.items():
        monkeypatch.setenv(name, value)
    [bob] = system.agents("bob")
    at = datetime.now(UTC) + timedelta(hours=3, minutes=10)
    sent = hutch("send", "bob", "Write.", "--at", at.isoformat(), "--priority", "background")
    task_id = sent.stdout.strip()
    assert f"it starts at {output.local_time(at)}" in sent.stderr
    bob.wait_for("run delayed")
    assert "due in 3 h" in hutch("runs", "bob").stdout
    shown = hutch("show", task_id).stdout
    assert "due in 3 h" in shown
    assert "priority background" in shown
    agents = json.loads(hutch("status", "--json").stdout)["agents"]
    assert [(it["delayed"], it["due"]) for it in agents if it["agent"] == "bob"] == [(1, 0)]
    assert "has ended: cancelled" in hutch("cancel", task_id).stdout


def test_the_tasks_of_a_background_runs_workers_are_background_too(
    system: System, pika: Client
) -> None:
    system.agents("alice", "bob")
    prompt = calling("bob", "Write.")
    pika.send("alice", {"content": prompt, "id": "t1", "priority": "background"})
    assert pika.reply().status == "ok"
    with closing(sqlite3.connect(system.env["HUTCH_STORE"].removeprefix("sqlite:///"))) as store:
        found = store.execute("SELECT agent, priority FROM runs ORDER BY agent").fetchall()
    assert found == [("alice", "background"), ("bob", "background")]
