"""`examples/support` as real processes, with the scripted model."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.definitions.loader import load
from tests.support.client import Client
from tests.support.processes.running import Child, System, until
from tests.support.repository import REPOSITORY

EXAMPLE = REPOSITORY / "examples" / "support" / "agents"
BROKEN = "The coffee grinder of order 1002 came broken. I want my money back."


@pytest.fixture
def desk(system: System, tmp_path: Path) -> list[Child]:
    """The example's agents, with a shop of their own."""
    agents = shutil.copytree(EXAMPLE, tmp_path / "support" / "agents")
    system.env["HUTCH_AGENTS"] = str(agents)
    # The command of the example's MCP server is `python`.
    system.env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{system.env['PATH']}"
    return system.agents(*load(agents))


def refunds(tmp_path: Path, order: int) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(tmp_path / "support" / "shop.db")) as shop:
        query = "SELECT cents, reason FROM refunds WHERE number = ?"
        return [(cents, reason) for cents, reason in shop.execute(query, [order])]


def waiting(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.hutch("approvals", "--json").stdout)
    return found


@pytest.mark.essential
def test_a_refund_waits_for_approval_while_everything_is_killed_and_is_made_once(
    system: System, pika: Client, desk: list[Child], tmp_path: Path
) -> None:
    pika.send("triage", {"id": "grinder", "content": BROKEN})
    until(lambda: waiting(system))
    for child in desk:
        child.kill()
    system.agents(*(child.name.rpartition("-")[2] for child in desk))
    [request] = waiting(system)
    assert (request["agent"], request["name"]) == ("refunds", "refund")
    assert refunds(tmp_path, 1002) == []
    assert system.hutch("approve", request["approval_id"]).returncode == 0
    reply = pika.reply()
    assert reply.content.startswith("The refund of order 1002 is made: 149.0 euros.")
    assert refunds(tmp_path, 1002) == [(14900, "broken")]


def test_orders_and_stock_are_asked_together(
    system: System, pika: Client, desk: list[Child]
) -> None:
    [inventory] = (it for it in desk if it.name.endswith("inventory"))
    inventory.wait_for("MCP server connected")
    answer = pika.ask("triage", "Where is order 1004, and is the coffee grinder in stock?")
    assert answer.content == (
        "Order 1004, the milk jug, is shipped. Of the coffee grinder there are 3 pieces in stock."
    )


def test_a_denied_refund_is_an_answer_with_the_note_and_pays_nothing(
    system: System, pika: Client, desk: list[Child], tmp_path: Path
) -> None:
    pika.send("triage", {"id": "grinder", "content": BROKEN})
    until(lambda: waiting(system))
    [request] = waiting(system)
    denied = system.hutch("deny", request["approval_id"], "--note", "Ask for a picture first.")
    assert denied.returncode == 0
    assert "is denied: 0 euros. Not called" in pika.reply().content
    assert refunds(tmp_path, 1002) == []
