"""Rows that cannot be read, in the store of running processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column

from shared.contract.messages import run_id
from shared.store import open_store
from shared.store.schema import runs
from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System
from tests.support.stores.damage import TEXTS, damage

pytestmark = pytest.mark.long

COUNTLESS = TEXTS[3]
"""Hops with 4,300 digits, as an earlier version took them."""


def damaged(system: System, task_id: str, column: Column[Any]) -> None:
    async def write() -> None:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            await damage(store, run_id("bob", task_id), column, f"'{COUNTLESS}'")

    asyncio.run(write())


@pytest.mark.parametrize("column", [runs.c.message, runs.c.response], ids=str)
def test_a_damaged_row_stops_neither_its_session_nor_the_tick_nor_a_command(
    system: System, pika: Client, asked: Asked, agents: Path, store_url: str, column: Column[Any]
) -> None:
    (agents / "bob.yaml").write_text("name: bob", "utf-8")
    system.env |= {"HUTCH_AGENTS": str(agents), "HUTCH_STORE": store_url}
    [first] = system.agents("bob")
    for task_id in ("t1", "t2"):
        said = {"id": task_id, "content": f"This is {task_id}.", "session": "s1"}
        assert pika.ask("bob", said).status == "ok"
    assert pika.ask("bob", {"id": "t3", "content": "This is t3."}).status == "ok"
    damaged(system, "t1", column)
    damaged(system, "t3", column)
    assert first.end() == 0
    (agents / "bob.yaml").write_text("{name: bob, tick: 1s}", "utf-8")
    [bob] = system.agents("bob")
    next_one = {"id": "t4", "content": "Who is there?", "session": "s1"}
    assert pika.ask("bob", next_one).status == "ok"
    (shown,) = [text for it in asked() if "Who is there?" in (text := str(it["messages"]))]
    assert "This is t2." in shown
    assert "This is t1." not in shown
    bob.wait_for("damaged run not recalled")
    bob.wait_for("damaged run not summed up")
    assert pika.ask("bob", "Still there?").status == "ok"
    seen = system.hutch("show", "t1")
    assert (seen.returncode, seen.stderr) == (0, "")
    assert "damaged: the stored" in seen.stdout
    assert bob.process.poll() is None
