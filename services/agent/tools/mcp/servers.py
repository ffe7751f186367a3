"""All MCP servers of one agent's process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from services.agent.llm.chat import ToolSpec
from services.agent.tools.mcp.connection import McpConnection
from services.agent.tools.mcp.mcp_tool import McpTool
from shared.definitions.mcp import McpServer
from shared.store import Store

log = structlog.get_logger()

START_S = 10.0
"""The time for which an agent's start waits for its servers; it goes on without those that are not
there by then."""


class Servers:
    """The servers of an agent. Its file guarantees that no prefix begins another one: a tool's name
    belongs to one server."""

    def __init__(
        self,
        servers: Sequence[McpServer],
        folder: Path,
        store: Store,
        taken: Collection[str],
        on_state: Callable[[str, bool], None] = lambda _, __: None,
    ) -> None:
        """`taken` are the names of the agent's other tools and workers, which no server's tool
        gets. `on_state` is called with a server's name and whether it is connected."""
        self.changed = asyncio.Event()
        """Set when the agent has other tools or another preamble than before."""
        self._store = store
        self._taken = frozenset(taken)
        self._tools: Mapping[str, McpTool] = {}
        self._connections = [
            McpConnection(
                it,
                folder,
                self._update,
                lambda connected, name=it.name: on_state(name, connected),  # type: ignore[misc]
            )
            for it in servers
        ]

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(it.spec for it in self._tools.values())

    @property
    def preamble(self) -> str:
        """The texts of the servers' prompts that the agent's file names."""
        return "\n\n".join(filter(None, (it.catalogue.preamble for it in self._connections)))

    async def serve(self) -> None:
        """Keep the connections. Ends only if cancelled."""
        async with asyncio.TaskGroup() as jobs:
            for connection in self._connections:
                jobs.create_task(connection.serve())

    async def started(self) -> None:
        """Wait for the first attempt to reach each server, at most `START_S`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_S):
                for connection in self._connections:
                    await connection.tried.wait()

    async def find(self, name: str) -> McpTool | None:
        """The tool of this name for the model. Waits for its server if that was not reached yet;
        raises `ToolError` if it can't be reached now."""
        for it in self._connections:
            if name not in self._tools and name.startswith(it.server.tool_prefix):
                await it.opened()
        return self._tools.get(name)

    def _update(self) -> None:
        found: dict[str, McpTool] = {}
        for it in self._connections:
            own = [
                McpTool(spec, it, self._store, tool) for tool, spec in it.catalogue.tools.items()
            ]
            if it.catalogue.resources:
                own.append(McpTool(it.catalogue.resources, it, self._store))
            for tool in own:
                if tool.spec.name in self._taken:
                    log.warning(
                        "part of an MCP server left out",
                        mcp=it.server.name,
                        reason=f"the agent has a tool '{tool.spec.name}' already",
                    )
                else:
                    found[tool.spec.name] = tool
        self._tools = found
        self.changed.set()
