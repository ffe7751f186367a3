"""`hutch status` without a broker: a locked store, a folder whose 'hutch up' has ended."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from services.cli.machine.home import HOME, locked, recorded
from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.processes import heartbeats
from tests.support.command_line import CLOSED, hutch

LOCKED = "it can be read but not written: the store is locked by another program"


@pytest.fixture
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The store's file: a process of Bob has had a heartbeat, and the folder is ours."""
    monkeypatch.chdir(folder.parent)
    url = f"sqlite:///{folder.parent / 'hutch.db'}"

    async def fill() -> None:
        await migrate(url)
        async with open_store(url) as store:
            await store.write("", lambda db: heartbeats.record(db, "bob.1", "bob"))

    asyncio.run(fill())
    return folder.parent / "hutch.db"


def test_while_another_program_locks_the_store_no_process_is_called_dead(store: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        shown, diagnosed = hutch("status"), hutch("doctor", "--json")
    assert shown.exit_code == 1
    assert f"hutch: the store can be read but not written: {LOCKED.rpartition(': ')[2]}" in (
        shown.stderr
    )
    assert [line.split() for line in shown.stdout.splitlines()[1:3]] == [
        ["alice", *"--0000"],
        ["bob", *"--0000"],
    ]
    assert "scheduler:" not in shown.stdout
    assert diagnosed.exit_code == 1
    assert LOCKED in [it["sentence"] for it in json.loads(diagnosed.stdout)["findings"]]
    assert "not written" not in hutch("status").stderr, "it is free again, though no process runs"


def test_after_down_it_shows_the_store_and_that_no_up_runs(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL")
    HOME.mkdir()
    shown = hutch("status")
    assert shown.exit_code == 1
    assert shown.stdout.splitlines()[2].split() == ["bob", *"0-0000"]
    assert shown.stderr.startswith("hutch: 'hutch up' does not run in this folder: start it")
    store.unlink()
    assert hutch("status").exit_code == 2, "there is nothing to show"


def test_a_broker_that_is_not_the_one_of_the_folder_is_named(store: Path) -> None:
    HOME.mkdir()
    assert "commands use RABBITMQ_URL" not in hutch("status").stderr
    with locked(HOME), recorded(HOME, CLOSED.replace(":1/", ":2/")):
        said = hutch("status").stderr
    assert "advice: 'hutch up' runs here with a broker of its own, but commands use" in said
