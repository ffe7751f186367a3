"""Objects that tools share: opened before the first call, closed after the last."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from services.agent.tools import objects
from services.agent.tools.objects import opened
from shared.definitions.functions import Tool, load
from shared.errors import ToolsUnavailable

POOL = """
class Pool:
    log: list[str] = []
    def open(self) -> None:
        self.log.append('open')
    def lookup(self, order: int) -> str:
        self.log.append(f'lookup {order}')
        return 'found'
    async def pay(self, order: int) -> int:
        self.log.append(f'pay {order}')
        return len(self.log)
    async def close(self) -> None:
        self.log.append('close')
"""


def loaded(folder: Path, source: str, *names: str) -> list[Tool]:
    (folder / "tools").mkdir()
    (folder / "tools" / "orders.py").write_text(source, "utf-8")
    return [load(folder, f"orders.py:{name}") for name in names]


async def test_the_tools_of_a_class_share_one_object_that_is_opened_and_closed(
    tmp_path: Path,
) -> None:
    tools = loaded(tmp_path, POOL, "Pool.lookup", "Pool.pay")
    log: list[str] = tools[0].owner.log  # type: ignore[union-attr]  # the user's class
    async with opened(tools) as (lookup, pay):
        assert await lookup.call({"order": "7"}) == "found"
        assert await pay.call({"order": 7}) == "3"
    assert log == ["open", "lookup 7", "pay 7", "close"]


async def test_functions_and_classes_without_open_need_no_object(tmp_path: Path) -> None:
    source = (
        "class Shop:\n    def lookup(self) -> str:\n        return 'a'\ndef other() -> str: ..."
    )
    tools = loaded(tmp_path, source, "Shop.lookup", "other")
    async with opened(tools) as (lookup, other):
        assert await lookup.call({}) == "a"
        assert other is tools[1]


@pytest.mark.parametrize(
    "fault",
    [
        "def __init__(self): raise OSError('no database')",
        "def open(self): raise OSError('no database')",
        "async def open(self): raise OSError('no database')",
    ],
)
async def test_an_object_that_cannot_be_opened_refuses_the_start(
    tmp_path: Path, fault: str
) -> None:
    source = f"class Shop:\n    {fault}\n    def lookup(self) -> str: ..."
    tools = loaded(tmp_path, source, "Shop.lookup")
    with (
        structlog.testing.capture_logs() as logged,
        pytest.raises(ToolsUnavailable, match="class Shop failed: OSError: no database"),
    ):
        async with opened(tools):
            pass
    assert "orders.py" in logged[0]["exception"]


async def test_an_object_that_takes_too_long_to_open_refuses_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "OPEN_S", 0.05)
    source = """
import asyncio
class Shop:
    async def open(self):
        await asyncio.sleep(30)
    def lookup(self) -> str: ...
"""
    with pytest.raises(ToolsUnavailable, match="Shop took longer than 0 s"):
        async with opened(loaded(tmp_path, source, "Shop.lookup")):
            pass


@pytest.mark.parametrize("close", ["raise OSError('gone')", "import time; time.sleep(1)"])
async def test_an_object_that_cannot_be_closed_does_not_hold_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, close: str
) -> None:
    monkeypatch.setattr(objects, "CLOSE_S", 0.05)
    source = f"class Shop:\n    def close(self): {close}\n    def lookup(self) -> str: ..."
    with structlog.testing.capture_logs() as logged:
        async with opened(loaded(tmp_path, source, "Shop.lookup")):
            pass
    (line,) = logged
    assert (line["log_level"], line["tool"]) == ("warning", "Shop")
