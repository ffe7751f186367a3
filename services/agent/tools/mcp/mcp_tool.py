"""The tools of an MCP server as tools of the agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from services.agent.llm.chat import ToolSpec
from services.agent.tools.mcp.connection import McpConnection
from services.agent.tools.mcp.results import Result
from shared.definitions.functions import JsonObject
from shared.definitions.results import capped
from shared.definitions.tools.call_info import CallInfo
from shared.errors import ToolError
from shared.store import Store
from shared.store.runs.files import write_files

EMPTY = "It has no content."


@dataclass(frozen=True)
class McpTool:
    """A tool of a server, by the server's own name for it; None: the reading of resources."""

    spec: ToolSpec
    connection: McpConnection
    store: Store
    tool: str | None = None

    async def call(
        self, arguments: JsonObject, info: CallInfo, on_abandoned: Callable[[], None]
    ) -> str:
        """See `AgentTool.call`. Files in the result are stored with the run."""
        if self.tool is None:
            result = await self.connection.read(str(arguments.get("uri") or ""))
        else:
            result = await self.connection.call(self.tool, arguments, info.progress)
        await self._keep(result, info.run_id)
        text = capped(result.text or EMPTY, self.connection.server.max_result)
        if result.is_error:
            raise ToolError(text)
        return text

    async def _keep(self, result: Result, run_id: str) -> None:
        if not result.files:
            return
        files = {it.digest: (it.media_type, it.content) for it in result.files}
        kept = await self.store.write(run_id, partial(write_files, run_id=run_id, found=files))
        if kept < len(files):
            result.text += "\n[not all files are kept: the run has too many, or too large ones]"
