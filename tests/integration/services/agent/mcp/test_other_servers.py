"""MCP servers that are not ours, as their users install them: from PyPI and npm, unmodified."""

from __future__ import annotations

import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from shared.errors import ToolError
from shared.store import Store
from shared.store.runs.files import files_of, read_file
from tests.support.machine import need
from tests.support.mcp.http_server import free_port, served
from tests.support.mcp.servers import call, servers_of

pytestmark = pytest.mark.long

EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the server's command."""
    need("node")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true}', "utf-8")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    subprocess.run([*command, EVERYTHING], cwd=folder, check=True)
    return str(folder / "node_modules" / ".bin" / "mcp-server-everything")


async def test_the_time_server(store: Store, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mcp_server_time", "--local-timezone=UTC"]
    async with servers_of(store, tmp_path, {"name": "time", "command": command}) as servers:
        assert [it.name for it in servers.specs] == ["time_convert_time", "time_get_current_time"]
        said = await call(servers, "time_get_current_time", timezone="Asia/Tokyo")
        assert "+09:00" in said
        with pytest.raises(ToolError, match="Invalid timezone"):
            await call(servers, "time_get_current_time", timezone="Mars")


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_the_server_with_everything(
    store: Store, tmp_path: Path, everything: str, transport: str
) -> None:
    prompts = ["simple-prompt", {"name": "args-prompt", "arguments": {"city": "Paris"}}]
    entry = {"name": "all", "prompts": prompts, "repeatable": ["get-*"], "deny": ["gzip-*"]}
    if transport == "stdio":
        await use(store, tmp_path, entry | {"command": [everything, "stdio"]})
        return
    port = free_port()
    async with served(port, everything, "streamableHttp", PORT=str(port)) as url:
        await use(store, tmp_path, entry | {"url": url})


async def test_a_server_that_restarts_behind_its_address_gets_a_new_session(
    store: Store, tmp_path: Path, everything: str
) -> None:
    port = free_port()
    command = (everything, "streamableHttp")
    async with AsyncExitStack() as first:
        url = await first.enter_async_context(served(port, *command, PORT=str(port)))
        async with servers_of(store, tmp_path, {"name": "all", "url": url}) as servers:
            assert await call(servers, "all_echo", message="one") == "Echo: one"
            await first.aclose()
            async with served(port, *command, PORT=str(port)):
                assert await call(servers, "all_echo", message="two") == "Echo: two"


async def use(store: Store, folder: Path, entry: object) -> None:
    async with servers_of(store, folder, entry) as servers:
        specs = {it.name: it for it in servers.specs}
        assert specs["all_get-sum"].repeatable
        assert not specs["all_echo"].repeatable
        assert "all_gzip-file-as-resource" not in specs
        assert servers.preamble.endswith("without arguments.\n\nWhat's weather in Paris?")
        assert await call(servers, "all_echo", message="hi") == "Echo: hi"
        weather = await call(servers, "all_get-structured-content", location="Chicago")
        assert '"conditions"' in weather
        slow = {"duration": 1, "steps": 3}
        assert "completed" in await call(servers, "all_trigger-long-running-operation", **slow)
        links = await call(servers, "all_get-resource-links", count=2)
        assert "[resource demo://resource/dynamic/blob/1: Blob Resource 1]" in links
        assert "demo://resource/" in await call(servers, "all_read_resource")
        text = "demo://resource/dynamic/text/1"
        assert "Resource 1" in await call(servers, "all_read_resource", uri=text)
        image = await call(servers, "all_get-tiny-image", "a run")
        [file] = await store.read(lambda db: files_of(db, "a run"))
        assert f"[file {file.digest[:16]}: image/png, {file.size} bytes]" in image
        kept = await store.read(lambda db: read_file(db, "a run", file.digest[:16]))
        assert kept is not None
        assert kept[1].startswith(b"\x89PNG")
        with pytest.raises(ToolError, match="Invalid arguments for tool echo"):
            await call(servers, "all_echo", wrong=1)
