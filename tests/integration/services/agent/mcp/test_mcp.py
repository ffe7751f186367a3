"""MCP servers of a real agent: runs survive the deaths of the server and of the agent."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.mcp.http_server import free_port
from tests.support.mcp.servers import HOSTILE, SHOP, SHOP_COMMAND, has_tools
from tests.support.processes.agents import define, http_get
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]


def shop(agents: Path, system: System, log: Path, **more: object) -> None:
    system.env["SHOP_LOG"] = str(log)
    entry = {"name": "shop", "command": SHOP_COMMAND, "env": ["SHOP_LOG"], **more}
    define(agents, system, clerk=f"mcp: {json.dumps([entry])}")


def request(system: System) -> str:
    """The id of the only request for approval, once there is one."""
    found: list[str] = []

    def listed() -> bool:
        shown = system.hutch("approvals", "--json")
        found[:] = [it["approval_id"] for it in json.loads(shown.stdout)]
        return len(found) == 1

    until(listed)
    return found[0]


def lines(log: Path) -> list[str]:
    return log.read_text("utf-8").splitlines() if log.exists() else []


def test_an_agent_calls_a_server_that_dies_and_calls_it_again(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    entry = {"name": "h", "command": [sys.executable, HOSTILE]}
    define(agents, system, clerk=f"mcp: {json.dumps([entry])}")
    [clerk] = system.agents("clerk")
    has_tools(clerk)
    assert pika.ask("clerk", "[[call h_die {}]][[then]][[call h_stray {}]]").status == "ok"
    died, again = results_in(asked()[-1])
    assert "broke off during the call: it has ended. Whether it has acted" in died
    assert again == "right"
    assert clerk.count("MCP server not connected") == 1
    assert clerk.end() == 0


def test_a_call_that_needs_approval_is_made_once_it_is_approved(
    system: System, pika: Client, agents: Path, tmp_path: Path
) -> None:
    log = tmp_path / "shop.log"
    shop(agents, system, log, approval={"when": "order > 5"})
    [clerk] = system.agents("clerk")
    has_tools(clerk)
    pika.send("clerk", '[[call shop_pay {"order": 3}]][[then]][[call shop_pay {"order": 7}]]')
    id = request(system)
    assert lines(log) == ["pay 3"]
    assert system.hutch("approve", id).returncode == 0
    assert pika.reply().status == "ok"
    assert lines(log) == ["pay 3", "pay 7"]


def test_changed_tools_are_for_later_runs(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    entry = {"name": "h", "command": [sys.executable, HOSTILE]}
    define(agents, system, clerk=f"mcp: {json.dumps([entry])}")
    [clerk] = system.agents("clerk")
    has_tools(clerk)
    assert pika.ask("clerk", "[[call h_change {}]]").status == "ok"
    clerk.wait_for("later runs have other tools")
    assert pika.ask("clerk", "[[call h_stray {}]]").status == "ok"
    assert ["h_more" in it["tools"] for it in asked()] == [False, False, True, True]


def test_an_agent_starts_without_a_server_and_gets_its_tools_when_it_comes(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    port = free_port()
    entry = {"name": "shop", "url": f"http://127.0.0.1:{port}/mcp", "prompts": ["tone"]}
    define(agents, system, clerk=f"preamble: You sell shoes.\nmcp: {json.dumps([entry])}")
    [clerk] = system.agents("clerk")
    assert pika.ask("clerk", "Hello").status == "ok"
    metrics = int(clerk.wait_for(r'"port": (\d+)')[1])
    assert 'hutch_mcp_connected{server="shop"} 0.0' in http_get(metrics, "metrics")[1]
    shop = system.start_script(SHOP, "http", str(port))
    clerk.wait_for("later runs have other tools")
    assert pika.ask("clerk", '[[call shop_lookup {"order": 7}]]').status == "ok"
    assert 'hutch_mcp_connected{server="shop"} 1.0' in http_get(metrics, "metrics")[1]
    shop.kill()
    first, second, third = asked()
    assert not first["tools"]
    system_text = "You sell shoes.\n\nAnswer in a friendly tone."
    assert second["messages"][0]["content"].startswith(system_text)
    assert results_in(third) == ["order 7 is on its way"]


def test_an_agent_forked_by_up_has_servers_too(
    system: System, agents: Path, tmp_path: Path
) -> None:
    log = tmp_path / "shop.log"
    shop(agents, system, log, repeatable=True)
    up = system.start("services.cli", "up", "--provider", "scripted", "--no-gateway")
    up.wait_for("MCP server connected|clerk.*ready|1 agent")
    done = system.hutch("ask", "clerk", '[[call shop_lookup {"order": 7}]]')
    assert done.returncode == 0, done.stderr
    assert lines(log) == ["lookup 7"]
    assert up.end() == 0


@pytest.mark.parametrize("repeatable", [True, False])
def test_an_agent_is_killed_during_a_call(
    system: System, pika: Client, agents: Path, tmp_path: Path, repeatable: bool
) -> None:
    log = tmp_path / "shop.log"
    shop(agents, system, log, repeatable=repeatable)
    [clerk] = system.agents("clerk")
    has_tools(clerk)
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
