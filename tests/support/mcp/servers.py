"""Connections to real MCP servers, in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.agent.tools.mcp.servers import Servers
from services.agent.tools.mcp.start import connected
from services.agent.tools.toolbox import Toolbox
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition
from shared.definitions.tools.call_info import CallInfo
from shared.store import Store
from tests.support.processes.running import Child

SHOP = str(Path(__file__).with_name("shop_server.py"))
HOSTILE = str(Path(__file__).with_name("hostile_server.py"))
SHOP_COMMAND = [sys.executable, SHOP]


@asynccontextmanager
async def servers_of(
    store: Store, folder: Path, *entries: object, patience_s: float = 60.0
) -> AsyncIterator[Servers]:
    """The servers of an agent whose file has these entries. Its start and its calls wait so long
    for a server, as the machine may be slow."""
    definition = Definition.model_validate({"name": "alice", "mcp": entries})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.agent.tools.mcp.servers.START_S", patience_s)
        patch.setattr("services.agent.tools.mcp.connection.READY_S", patience_s)
        async with connected(definition, folder, store) as servers:
            assert servers is not None
            yield servers


def has_tools(agent: Child) -> None:
    """Wait until an agent that is consuming has the tools of its server."""
    agent.wait_for("MCP server connected")
    said = agent.output
    if said.index("MCP server connected") > said.index("model chosen"):
        agent.wait_for("later runs have other tools")


def names(servers: Servers) -> list[str]:
    """The names of the tools that the agent's model would be offered."""
    return [it.name for it in servers.specs]


async def call(servers: Servers, name: str, run_id: str = "", /, **arguments: object) -> str:
    """The result of a call as the model gets it; raises `ToolError`."""
    given: JsonObject = dict(arguments)  # type: ignore[arg-type]  # the tests know their JSON
    return await Toolbox([], find=servers.find).call(name, given, CallInfo(run_id=run_id))
