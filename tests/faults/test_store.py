"""The store goes away under whole processes, and comes back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import Client
from tests.support.processes import running
from tests.support.processes.agents import ASK
from tests.support.processes.clerk import dead_letters
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until
from tests.support.stores.postgresql import Postgres

pytestmark = pytest.mark.long

MORE_THAN_THE_DELIVERY_LIMIT = 13

Outage = Callable[[], AbstractContextManager[None]]


def survives(system: System, pika: Client, asked: Asked, outage: Outage, seconds: float) -> None:
    """An outage while Alice waits for Bob, whose model call ends meanwhile."""
    agents = system.agents("bob", "alice")
    pika.send("alice", ASK)
    until(lambda: len(asked()) == 2)
    with outage():
        until(lambda: all("store unavailable" in agent.output for agent in agents))
        waiting = [pika.send("bob", "[[reply later]]") for _ in range(3)]
        time.sleep(seconds)
    replies = pika.replies(4)
    assert [reply.status for reply in replies] == ["ok"] * 4
    assert {reply.correlation_id for reply in replies} >= set(waiting)
    assert len(asked()) == 6, "nothing was paid twice: the living were not robbed"
    assert [agent.process.poll() for agent in agents] == [None, None]
    assert not any("run taken over" in agent.output for agent in agents)


class TestOnPostgresql:
    @pytest.fixture
    def system(self, broker_url: str, postgresql_url: str, tmp_path: Path) -> Iterator[System]:
        with running.system(broker_url, tmp_path) as system:
            system.env["HUTCH_STORE"] = postgresql_url
            asyncio.run(migrate(postgresql_url))
            system.model()
            yield system

    @pytest.mark.long
    @pytest.mark.parametrize("seconds", [5, 40])
    def test_a_server_that_refuses_all_connections_for_a_while_is_waited_for(
        self,
        system: System,
        pika: Client,
        asked: Asked,
        postgresql: Postgres,
        postgresql_url: str,
        seconds: int,
    ) -> None:
        survives(system, pika, asked, lambda: postgresql.away(postgresql_url), seconds)

    @pytest.mark.long
    @pytest.mark.parametrize("seconds", [5, 40])
    def test_a_server_that_is_frozen_for_a_while_is_waited_for(
        self, system: System, pika: Client, asked: Asked, postgresql: Postgres, seconds: int
    ) -> None:
        agents = system.agents("bob", "alice")
        pika.send("alice", ASK)
        until(lambda: len(asked()) == 2)
        with postgresql.frozen():
            time.sleep(seconds)
        assert pika.reply().status == "ok"
        assert len(asked()) == 3
        assert [agent.process.poll() for agent in agents] == [None, None]


def bob_loses_his_connections(rabbit: Rabbit) -> None:
    """Both, and he has others then; the third one is the test's own."""
    until(lambda: len(rabbit.connections()) == 3)
    before = rabbit.connections()
    rabbit.close_connections_of("bob.")
    until(lambda: len(rabbit.connections() - before) == 2)


class TestOnSqlite:
    @pytest.fixture
    def system(self, broker_url: str, tmp_path: Path) -> Iterator[System]:
        with running.system(broker_url, tmp_path) as system:
            asyncio.run(migrate(system.env["HUTCH_STORE"]))
            system.model()
            yield system

    @pytest.fixture
    def file(self, system: System) -> Path:
        return Path(system.env["HUTCH_STORE"].removeprefix("sqlite:///"))

    @pytest.mark.long
    def test_a_file_that_another_program_has_locked_is_waited_for(
        self, system: System, pika: Client, asked: Asked, file: Path
    ) -> None:
        survives(system, pika, asked, lambda: locked(file), 5)

    @pytest.mark.long
    def test_while_the_store_is_away_lost_connections_repeat_and_give_up_no_task(
        self, system: System, pika: Client, asked: Asked, file: Path, rabbit: Rabbit
    ) -> None:
        """The first deliveries wait for their claims: the outage has not been noticed yet."""
        [bob] = system.agents("bob")
        with locked(file):
            calls = {pika.send("bob", body) for body in (b"Write.", b"Write.", b'{"content": "x"}')}
            calls.add(pika.send("bob", {"id": "t-1", "content": "Write."}))
            for _ in range(1, MORE_THAN_THE_DELIVERY_LIMIT):
                bob_loses_his_connections(rabbit)
            assert "store unavailable" in bob.output
        answered = dict[str, set[str]]()
        while answered.keys() != calls:  # a copy may come twice, under the same id
            reply = pika.reply()
            assert reply.status == "ok"
            answered.setdefault(reply.correlation_id, set()).add(reply.message_id)
        assert [len(ids) for ids in answered.values()] == [1] * 4
        assert pika.ask("bob", "Last.").status == "ok"
        assert len(asked()) == 5, "each task was run once, with an id or without"
        assert dead_letters(system) == []

    def test_with_a_file_that_may_only_be_read_no_task_is_taken(
        self, system: System, pika: Client, file: Path
    ) -> None:
        [bob] = system.agents("bob")
        bob.end()
        call = pika.send("bob", "Write.")
        for part in file.parent.glob("hutch.db*"):
            part.chmod(0o444)
        powerless = system.start_by(WITHOUT_ROOTS_POWER, "services.agent", "bob")
        powerless.wait_for("readonly database")
        assert "run started" not in powerless.output
        powerless.kill()
        file.chmod(0o644)
        system.agents("bob")
        assert pika.reply().correlation_id == call


WITHOUT_ROOTS_POWER = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)
"""Root may write whatever a file's mode says."""


@contextmanager
def locked(file: Path) -> Iterator[None]:
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
