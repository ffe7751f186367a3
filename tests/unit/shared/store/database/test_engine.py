from __future__ import annotations

import asyncio
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from shared.errors import SettingsError, StoreError, StoreUnavailable
from shared.store import open_store
from shared.store.database import engine
from shared.store.database.engine import create, parse
from shared.store.database.migrate import migrate
from shared.store.processes import heartbeats
from tests.support.stores.steps import seen, until_away

STORES = ["sqlite"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hutch.db", "HUTCH_STORE is no address"),
        ("mysql://u:p@h/d", "HUTCH_STORE names 'mysql'"),
        ("sqlite://", "HUTCH_STORE needs a file"),
        ("sqlite:///:memory:", "HUTCH_STORE needs a file"),
        ("postgresql://u:p@h:port/d", "HUTCH_STORE is no address"),
    ],
)
def test_a_wrong_address_is_one_sentence(url: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        create(url)


@pytest.mark.parametrize("url", ["postgresql://h/d", "postgresql+psycopg://h/d"])
def test_an_address_gets_our_driver(url: str) -> None:
    assert parse(url).drivername == "postgresql+asyncpg"


async def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="the store can't be reached"):
        await migrate(f"sqlite:///{tmp_path}/file/hutch.db")


async def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "hutch.db").write_text("no database " * 100)
    with pytest.raises(StoreError, match="the store refused: file is not a database"):
        await migrate(f"sqlite:///{tmp_path}/hutch.db")


async def test_a_server_that_is_not_there_is_one_sentence(unused_tcp_port: int) -> None:
    with pytest.raises(StoreUnavailable, match="the store can't be reached") as caught:
        await migrate(f"postgresql://u:s3cret@127.0.0.1:{unused_tcp_port}/d")
    assert "s3cret" not in str(caught.value)


@dataclass
class Slow:
    """A write that stays in the middle of its transaction until `go_on`."""

    entered: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def heartbeat(self, connection: Connection) -> None:
        heartbeats.record(connection, "slow", "a")
        self.entered.set()
        self.go_on.wait(20)


async def test_a_writer_that_is_cancelled_while_it_commits_is_committed_all_the_same(
    store_url: str,
) -> None:
    slow = Slow()
    async with open_store(store_url) as store:
        write = asyncio.create_task(store.write("", slow.heartbeat))
        await asyncio.to_thread(slow.entered.wait, 20)
        write.cancel()
        slow.go_on.set()
        await store.write("", lambda db: heartbeats.record(db, "next", "a"))
        assert set((await seen(store, "a")).heartbeats) == {"slow", "next"}
    assert write.cancelled()


async def test_a_store_that_closes_in_the_middle_of_a_commit_waits_for_its_thread(
    store_url: str,
) -> None:
    slow = Slow()
    async with open_store(store_url) as store:
        write = asyncio.create_task(store.write("", slow.heartbeat))
        await asyncio.to_thread(slow.entered.wait, 20)
        asyncio.get_running_loop().call_later(0.05, slow.go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await write
    async with open_store(store_url) as store:
        assert set((await seen(store, "a")).heartbeats) == {"slow"}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)


def locked(store_url: str) -> sqlite3.Connection:
    other = sqlite3.connect(store_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.usefixtures("impatient")
async def test_a_locked_file_is_waited_for(store_url: str) -> None:
    async with open_store(store_url) as store:
        other = locked(store_url)
        write = asyncio.create_task(store.write("", lambda db: heartbeats.record(db, "a.1", "a")))
        await until_away(store)
        assert (await seen(store, "a")).heartbeats == {}  # WAL: readers don't wait
        other.close()
        await write
        assert store.available
        assert (await seen(store, "a")).heartbeats == {"a.1": 1}


@pytest.mark.usefixtures("impatient")
async def test_patience_ends(store_url: str) -> None:
    async with open_store(store_url, retry_for_s=0.1) as store:
        other = locked(store_url)
        with pytest.raises(StoreUnavailable, match="the store is away or locked: database is lock"):
            await store.write("", lambda db: heartbeats.record(db, "a.1", "a"))
        assert not store.available
        other.close()
        await store.write("", lambda db: heartbeats.record(db, "a.1", "a"))
        assert store.available
