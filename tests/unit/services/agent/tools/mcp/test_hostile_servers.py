"""Servers that hang, die, flood and lie. Each time the call has an answer, the agent has what can
be used, and a server that is beyond use is started again. `docs/mcp.md` has the table."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import structlog

from services.agent.tools.mcp import connection
from shared.errors import ToolError
from shared.store import Store
from tests.support.mcp.servers import HOSTILE, call, names, servers_of
from tests.support.model.loop import until
from tests.support.processes import running
from tests.support.repository import REPOSITORY


def hostile(listing: str = "calls", **options: object) -> dict[str, object]:
    return {"name": "h", "command": [sys.executable, HOSTILE, listing], **options}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_WAIT_S", 0.1)
    monkeypatch.setattr(connection, "LONGEST_WAIT_S", 0.5)
    monkeypatch.setattr(connection, "LEAST_RELIST_S", 0.1)


async def test_a_server_that_dies_during_a_call_is_started_again(
    store: Store, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with servers_of(store, tmp_path, hostile()) as servers:
            with pytest.raises(ToolError, match="broke off during the call: it has ended") as error:
                await call(servers, "h_die")
            assert "Whether it has acted is unknown" in str(error.value)
            assert await call(servers, "h_stray") == "right"
    [lost] = [it for it in logged if it["event"] == "MCP server not connected"]
    assert lost["reason"] == "has ended"
    assert "out of memory" in lost["last_line"]


async def test_a_server_that_hangs_costs_its_calls_their_timeout_and_is_started_again(
    store: Store, tmp_path: Path
) -> None:
    entry = hostile(timeout="1s", repeatable=True)
    async with servers_of(store, tmp_path, entry) as servers:
        for _ in range(connection.MOST_SILENT):
            with pytest.raises(ToolError, match=r"gave no answer within 1 s\.$"):
                await call(servers, "h_hang")
        assert await call(servers, "h_stray") == "right"


@pytest.mark.parametrize(
    ("tool", "reason"),
    [("h_flood", "sent a message of more than 8 MiB"), ("h_chatter", "more than 1 MiB a second")],
)
async def test_a_server_that_floods_is_stopped_and_costs_no_memory(
    store: Store, tmp_path: Path, tool: str, reason: str
) -> None:
    async with servers_of(store, tmp_path, hostile()) as servers:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(ToolError, match=f"broke off during the call: it .*{reason}"):
            await call(servers, tool)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < 80 * 1024
        assert await call(servers, "h_stray") == "right"


@pytest.mark.parametrize("tool", ["h_lie", "h_deep"])
async def test_a_result_against_the_protocol_is_an_answer(
    store: Store, tmp_path: Path, tool: str
) -> None:
    async with servers_of(store, tmp_path, hostile(timeout="2s")) as servers:
        with pytest.raises(ToolError, match=r"answers against the protocol|no answer within"):
            await call(servers, tool)
        assert await call(servers, "h_stray") == "right"


async def test_a_server_s_own_requests_are_refused(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, hostile()) as servers:
        assert await call(servers, "h_ask") == "asked"


async def test_hidden_characters_and_broken_files_are_no_part_of_a_result(
    store: Store, tmp_path: Path
) -> None:
    async with servers_of(store, tmp_path, hostile()) as servers:
        assert await call(servers, "h_hide") == "a[2Jbc"
        result = await call(servers, "h_images", "a run")
        wrong, strange = result.split("\n\n")
        assert wrong == "[a file (image/png) that can't be read: it is no base64]"
        assert strange.endswith(": application/octet-stream, 1 bytes]")


async def test_bombs_and_names_that_are_none_are_left_out_of_the_tools(
    store: Store, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with servers_of(store, tmp_path, hostile("bombs")) as servers:
            specs = {it.name: it for it in servers.specs}
    x = "x" * 62
    assert [*specs] == ["h_good", "h_long", "h_same_name", "h_tree", f"h_{x}", "h_years"]
    assert specs["h_good"].description == "says[31m hello"
    assert specs["h_years"].parameters["properties"] == {"a": {}}
    assert len(specs["h_long"].description) == 1024
    left_out = "\n".join(str(it["reason"]) for it in logged if "left out" in it["event"])
    for tool in (
        "deep",
        "huge",
        "dangling",
        "remote",
        "laughs",
        "wrong",
        "spaces",
        "",
        "same/name",
    ):
        assert f"the tool '{tool}'" in left_out


async def test_of_ten_thousand_tools_some_are_kept(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, hostile("many", allow=["tool*"])) as servers:
        assert len(servers.specs) == 256
    async with servers_of(store, tmp_path, hostile("many", allow=["tool0012*"])) as servers:
        assert len(servers.specs) == 10


@pytest.mark.parametrize("listing", ["broken", "invalid"])
async def test_a_server_that_cannot_be_used_leaves_the_agent_without_its_tools(
    store: Store, tmp_path: Path, listing: str
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with servers_of(store, tmp_path, hostile(listing)) as servers:
            assert names(servers) == []
    lost = next(it for it in logged if it["event"] == "MCP server not connected")
    if listing == "broken":
        assert lost["last_line"] == "no database at sk-***"
    else:
        assert lost["reason"] == "answers against the protocol"


async def test_endless_pages_are_read_to_a_bound(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, hostile("endless")) as servers:
        assert names(servers) == []


async def test_a_silent_server_delays_the_start_only_so_long(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, hostile("silent"), patience_s=0.5) as servers:
        assert names(servers) == []
        with pytest.raises(ToolError, match="'h' was not called: it has not been reached yet"):
            await call(servers, "h_any")


async def test_a_server_that_ignores_its_end_is_killed_with_the_agent_s(
    store: Store, tmp_path: Path
) -> None:
    async with servers_of(store, tmp_path, hostile("stubborn")) as servers:
        process = psutil.Process(int(await call(servers, "h_pid")))
    assert not process.is_running()


AGENT = """
import asyncio, json, sys
from pathlib import Path
from tests.support.mcp.servers import HOSTILE, call, names, servers_of
async def main():
    async with servers_of(None, Path(), json.loads(sys.argv[1])) as servers:
        print(await call(servers, "h_pid"), flush=True)
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def test_a_server_that_ignores_its_end_does_not_outlive_a_killed_agent() -> None:
    command = [sys.executable, "-c", AGENT, json.dumps(hostile("stubborn"))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout
        said = next(it for it in agent.stdout if it.strip().isdigit())
        server = psutil.Process(int(said))
        assert server.is_running()
        agent.kill()
    running.until(lambda: ended(server))


def ended(process: psutil.Process) -> bool:
    """In a container its new parent may not be one that collects exit codes."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_lines_that_are_no_messages_are_skipped(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, hostile("noisy")) as servers:
        assert await call(servers, "h_stray") == "right"


async def test_a_changed_description_is_logged_and_is_for_later_runs(
    store: Store, tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        async with servers_of(store, tmp_path, hostile()) as servers:
            servers.changed.clear()
            assert await call(servers, "h_change") == "changed"
            await asyncio.wait_for(servers.changed.wait(), 20)
            assert {it.description for it in servers.specs} == {"Version 2."}
            await until(lambda: any("changed its tools" in it["event"] for it in logged))
    [change] = [it for it in logged if it["event"] == "MCP server has changed its tools"]
    assert "change" in change["changed"]
