"""A store that version 0.1.0 has left: its open runs go on, its ended ones still answer.

`journal-0.1.0.sql` is what a killed Alice (waiting for Bob) and a killed Bob (in his model call)
had written, and a task of Bob's that had ended.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text
from sqlalchemy.engine import Connection

from shared.store.database.engine import create
from shared.store.database.migrate import MIGRATIONS, migrate
from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = pytest.mark.long

WRITTEN = Path(__file__).with_name("journal-0.1.0.sql").read_text("utf-8").splitlines()
OPEN = "task-that-was-open"
OPEN_RUN = "6a44587ff9394c1026f62f77fbfcfe54"
ENDED = "task-that-ended"


def _write(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")
    connection.execute(text("DELETE FROM store"))  # the file brings the store's own id
    for statement in WRITTEN:
        connection.exec_driver_sql(statement)
    late = {"later": time.time() + 600}
    connection.execute(text("UPDATE runs SET deadline_at = :later WHERE ended_at IS NULL"), late)


async def _restored(url: str) -> None:
    database = create(url)
    try:
        await database.run(_write, writes=True)
    finally:
        await database.close()
    await migrate(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_system(request: pytest.FixtureRequest, system: System, tmp_path: Path) -> System:
    """Our processes on the upgraded store."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    asyncio.run(_restored(url))
    system.env["HUTCH_STORE"] = url
    return system


def test_open_runs_of_the_last_version_continue_and_repeat_no_finished_step(
    old_system: System, asked: Asked
) -> None:
    alice, bob = old_system.agents("alice", "bob")
    alice.wait_for(r'run ended.*"status": "ok"|"status": "ok".*run ended')
    bob.wait_for("run taken over")
    assert len(asked()) == 2, "Bob's call that died with him, and Alice's last"
    shown = old_system.hutch("show", OPEN_RUN, "--json")
    assert shown.returncode == 0
    assert OPEN in shown.stdout


def test_a_task_that_the_last_version_ended_gets_its_stored_response(
    old_system: System, pika: Client, asked: Asked
) -> None:
    old_system.agents("bob")
    reply = pika.ask("bob", {"content": "Write an email.", "id": ENDED})
    assert reply.content == 'I was asked: "Write an email.".'
    assert not [it for it in asked() if "Write an email." in str(it)], "nothing was paid again"
