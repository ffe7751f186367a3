"""MCP servers of a real agent: runs survive the deaths of the server and of the agent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.mcp.servers import SHOP_COMMAND
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long


def shop(agents: Path, system: System, log: Path, **more: object) -> None:
    system.env["SHOP_LOG"] = str(log)
    entry = {"name": "shop", "command": SHOP_COMMAND, "env": ["SHOP_LOG"], **more}
    define(agents, system, clerk=f"mcp: {json.dumps([entry])}")


def lines(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines() if log.exists() else []


def test_an_agent_calls_a_server_that_dies_and_calls_it_again(
    system: System, pika: Client, asked: Asked, agents: Path, tmp_path: Path
) -> None:
    log = tmp_path / "shop.log"
    shop(agents, system, log)
    [clerk] = system.agents("clerk")
    script = '[[call shop_die {}]][[then]][[call shop_lookup {"order": 7}]]'
    assert pika.ask("clerk", script).status == "ok"
    results = [str(it["messages"][-1]["content"]) for it in asked()[1:]]
    assert "broke off during the call: it has ended. Whether it has acted" in results[0]
    assert results[1] == "order 7 is on its way"
    assert lines(log) == ["die", "lookup 7"]
    assert clerk.count("MCP server not connected") == 1
    assert clerk.end() == 0


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_agent_is_killed_during_a_call(
    system: System, pika: Client, agents: Path, tmp_path: Path, repeatable: bool
) -> None:
    log = tmp_path / "shop.log"
    shop(agents, system, log, repeatable=repeatable)
    [clerk] = system.agents("clerk")
    pika.send("clerk", '[[call shop_sleep {"seconds": 5}]]')
    until(lambda: lines(log) == ["sleep"])
    clerk.kill()
    system.agents("clerk")
    reply = pika.reply()
    if repeatable:
        assert reply.status == "ok"
        assert lines(log) == ["sleep", "sleep"]
    else:
        assert reply.status == "failed"
        assert "shop_sleep" in reply.content
        assert lines(log) == ["sleep"]
