"""Connections to real MCP servers, in the process of the test."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.agent.tools.mcp.servers import Servers
from services.agent.tools.mcp.start import connected
from services.agent.tools.toolbox import Toolbox
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition
from shared.definitions.tools.call_info import CallInfo
from shared.store import Store

SHOP = str(Path(__file__).with_name("shop_server.py"))
HOSTILE = str(Path(__file__).with_name("hostile_server.py"))
SHOP_COMMAND = [sys.executable, SHOP]


@asynccontextmanager
async def servers_of(
    store: Store, folder: Path, *entries: object, **states: bool
) -> AsyncIterator[Servers]:
    """The servers of an agent whose file has these entries."""
    definition = Definition.model_validate({"name": "alice", "mcp": entries})
    async with connected(definition, folder, store, states.__setitem__) as servers:
        assert servers is not None
        yield servers


def names(servers: Servers) -> list[str]:
    """The names of the tools that the agent's model would be offered."""
    return [it.name for it in servers.specs]


async def call(servers: Servers, name: str, run_id: str = "", /, **arguments: object) -> str:
    """The result of a call as the model gets it; raises `ToolError`."""
    given: JsonObject = dict(arguments)  # type: ignore[arg-type]  # the tests know their JSON
    return await Toolbox([], find=servers.find).call(name, given, CallInfo(run_id=run_id))
