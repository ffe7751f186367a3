"""An agent that dies around a call of an MCP server."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from shared.contract.messages import run_id
from shared.store import open_store
from shared.store.runs.files import StoredFile, files_of
from tests.support.client import Client
from tests.support.mcp.servers import SHOP_COMMAND, has_tools
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = pytest.mark.long

TASK = "task-1"


def killed(system: System, pika: Client, folder: Path, point: str, tool: str) -> str:
    """The status of a task whose agent dies at this point, and is started again."""
    agents = folder / "agents"
    agents.mkdir()
    system.env["SHOP_LOG"] = str(folder / "shop.log")
    entry = {
        "name": "shop",
        "command": SHOP_COMMAND,
        "env": ["SHOP_LOG"],
        "repeatable": ["picture"],
    }
    define(agents, system, clerk=f"mcp: {json.dumps([entry])}")
    victim = system.start("tests.support.processes.crashing", point, "services.agent", "clerk")
    victim.wait_for("consuming")
    has_tools(victim)
    pika.send("clerk", {"id": TASK, "content": f"[[call shop_{tool}]]"})
    assert victim.ended() == -signal.SIGKILL, victim.output
    system.agents("clerk")
    return pika.reply().status


def calls(folder: Path) -> list[str]:
    log = folder / "shop.log"
    return log.read_text("utf-8").splitlines() if log.exists() else []


def files(system: System) -> list[StoredFile]:
    async def read() -> list[StoredFile]:
        async with open_store(system.env["HUTCH_STORE"]) as store:
            return list(await store.read(lambda db: files_of(db, run_id("clerk", TASK))))

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("point", "made"),
    [
        ("before-mcp-call", 1),
        ("before-files", 2),
        ("after-files", 2),
        ("after-mcp-call", 2),
        ("before-tool-step", 2),
        ("after-tool-step", 1),
    ],
)
def test_a_repeatable_call_is_made_again_and_its_file_kept_once(
    system: System, pika: Client, asked: Asked, tmp_path: Path, point: str, made: int
) -> None:
    assert killed(system, pika, tmp_path, point, "picture {}") == "ok"
    assert calls(tmp_path) == ["picture"] * made
    assert [it.size for it in files(system)] == [len(b"not quite a PNG")]
    assert len(asked()) == 2, "no finished model call is made again"


@pytest.mark.parametrize(("point", "made"), [("before-mcp-call", 0), ("after-mcp-call", 1)])
def test_a_call_that_must_not_be_repeated_is_in_doubt(
    system: System, pika: Client, tmp_path: Path, point: str, made: int
) -> None:
    assert killed(system, pika, tmp_path, point, 'pay {"order": 7}') == "failed"
    assert calls(tmp_path) == ["pay 7"] * made
