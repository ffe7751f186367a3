"""The shop of `examples/support`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from shared.definitions.functions import load as load_tool
from shared.definitions.loader import load
from shared.definitions.tools.call_info import CallInfo
from shared.errors import ToolError
from tests.support.repository import REPOSITORY

AGENTS = REPOSITORY / "examples" / "support" / "agents"


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A copy, whose shop is in a file of its own."""
    return shutil.copytree(AGENTS, tmp_path / "agents")


async def call(agents: Path, name: str, key: str = "1", **arguments: str | float) -> str:
    """Call a tool in a shop that is opened as by another process."""
    tool = load_tool(agents, f"shop.py:Shop.{name}")
    assert tool.owner is not None
    shop = tool.owner()
    shop.open()
    return await tool.bound(shop).call({**arguments}, CallInfo(idempotency_key=key))


def refunded(agents: Path, order: int) -> float:
    with closing(sqlite3.connect(agents.parent / "shop.db")) as shop:
        [[cents]] = shop.execute("SELECT total(cents) FROM refunds WHERE number = ?", [order])
        return float(cents) / 100


def test_every_agent_of_the_example_says_what_it_is_for() -> None:
    assert all(agent.description and agent.preamble for agent in load(AGENTS).values())


async def test_an_order_is_found_by_its_number_and_by_its_customer(agents: Path) -> None:
    order = json.loads(await call(agents, "find_order", number=1002))
    assert (order["item"], order["price"], order["refunded"]) == ("coffee grinder", 149.0, 0.0)
    of_ben = json.loads(await call(agents, "orders_of", customer="Ben"))
    assert [it["number"] for it in of_ben] == [1004, 1002]
    with pytest.raises(ToolError, match="there is no order 1; ask the customer"):
        await call(agents, "find_order", number=1)


async def test_a_refund_is_made_once_for_each_key(agents: Path) -> None:
    for _ in range(2):
        made = json.loads(await call(agents, "refund", order=1002, amount=100, reason="broken"))
        assert made == {"order": 1002, "amount": 100.0, "state": "made"}
    assert refunded(agents, 1002) == 100
    await call(agents, "refund", "2", order=1002, amount=49, reason="broken")
    assert refunded(agents, 1002) == 149


async def test_no_more_is_refunded_than_the_order_cost(agents: Path) -> None:
    with pytest.raises(ToolError, match=r"order 1002 cost 149.0, and 0.0 was refunded"):
        await call(agents, "refund", order=1002, amount=149.01, reason="broken")
    assert refunded(agents, 1002) == 0
