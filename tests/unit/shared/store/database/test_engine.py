from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection
from structlog.testing import capture_logs

from shared.errors import SettingsError, StoreError, StoreUnavailable
from shared.store import open_store
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


async def test_a_close_that_is_cancelled_closes_the_file_all_the_same(store_url: str) -> None:
    database, slow = create(store_url), Slow()

    def heartbeat(connection: Connection) -> sqlite3.Connection:
        slow.heartbeat(connection)
        opened = connection.connection.driver_connection
        assert isinstance(opened, sqlite3.Connection)
        return opened

    write = asyncio.create_task(database.run(heartbeat, writes=True))
    await asyncio.to_thread(slow.entered.wait, 20)
    close = asyncio.create_task(database.close())
    await asyncio.sleep(0)
    close.cancel()
    slow.go_on.set()
    opened = await write
    await asyncio.get_running_loop().shutdown_default_executor()
    assert close.cancelled()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened.execute("SELECT 1")


@contextmanager
def locked(store_url: str) -> Iterator[None]:
    path = store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


async def test_a_locked_file_is_waited_for(store_url: str) -> None:
    async with open_store(store_url, busy_timeout_ms=50) as store:
        with locked(store_url):
            write = asyncio.create_task(
                store.write("", lambda db: heartbeats.record(db, "a.1", "a"))
            )
            with capture_logs() as logged:
                await until_away(store)
                assert (await seen(store, "a")).heartbeats == {}  # WAL: readers don't wait
            assert "store is back" not in [it["event"] for it in logged]
        with capture_logs() as logged:
            await write
        assert [it["event"] for it in logged][-1:] == ["store is back"]
        assert store.available
        assert (await seen(store, "a")).heartbeats == {"a.1": 1}


async def test_patience_ends(store_url: str) -> None:
    async with open_store(store_url, retry_for_s=0.1, busy_timeout_ms=50) as store:
        with locked(store_url):
            with pytest.raises(StoreUnavailable, match="store is locked by another program"):
                await store.write("", lambda db: heartbeats.record(db, "a.1", "a"))
            assert not store.available
        await store.write("", lambda db: heartbeats.record(db, "a.1", "a"))
        assert store.available
