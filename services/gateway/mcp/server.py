"""The server of MCP: the agents are its tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TypeVar

from mcp.server.caching import CacheHint
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CancelledNotificationParams,
    ListToolsResult,
    PaginatedRequestParams,
)
from pydantic import ValidationError

from services.gateway.mcp import calls, tools
from services.gateway.mcp.client import Client, Context
from services.gateway.mcp.errors import draining, error_of
from services.gateway.tasks.hub import Hub
from shared import VERSION
from shared.definitions.model import Definitions
from shared.store.processes.api_keys import Scope
from shared.validation import first_fault

INSTRUCTIONS = "Each tool is an agent: it works on its own, with its own model and tools."
LIST_MS = 60_000
"""So long a client may keep the list of tools, in milliseconds."""

Params = TypeVar("Params")
Result = TypeVar("Result")
Handler = Callable[[Context, Params], Awaitable[Result]]


def manager(hub: Hub, agents: Definitions) -> StreamableHTTPSessionManager:
    """The server over HTTP, without state: each request is served by itself."""
    return StreamableHTTPSessionManager(AgentTools(hub, agents).server(), stateless=True)


class AgentTools:
    """The handlers of requests. `agents` are all agents; `local` is the client if there is only
    one, which is not known by its requests."""

    def __init__(self, hub: Hub, agents: Definitions, local: Client | None = None) -> None:
        self._hub = hub
        self._agents = agents
        self._local = local

    def server(self) -> Server[object]:
        server: Server[object] = Server(
            "hutch",
            version=VERSION,
            instructions=INSTRUCTIONS,
            lifespan=_nothing,
            cache_hints={"tools/list": CacheHint(LIST_MS, "private")},
            get_tool_input_schema=lambda _: tools.INPUT_SCHEMA,
            on_list_tools=_translated(self._list),
            on_call_tool=_translated(self._call),
        )
        server.add_notification_handler(
            "notifications/cancelled", CancelledNotificationParams, self._cancelled
        )
        return server

    async def _list(self, context: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        """The agents that the client may use, by name."""
        caller = self._client(context).caller
        caller.need(Scope.READ)
        names = sorted(filter(caller.sees, self._hub.gateway.folder.names))
        return ListToolsResult(tools=[tools.tool(it, self._agents.get(it)) for it in names])

    async def _call(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        client, agent = self._client(context), params.name
        client.caller.need(Scope.RUN)
        if agent not in self._hub.gateway.folder.names or not client.caller.sees(agent):
            raise MCPError(INVALID_PARAMS, f"there is no tool '{agent[:80]}'")
        try:
            arguments = tools.Arguments.model_validate(params.arguments or {})
            task = arguments.task(client.task_id(context.request_id))
        except ValidationError as error:
            return tools.fault(first_fault(error))
        except ValueError as error:
            return tools.fault(str(error))
        task_id = task.id or ""
        client.caller.count_stream()
        with self._hub.metrics.streams.track_inprogress():
            async with calls.sent(self._hub, client, agent, task) as watch:
                response = await calls.answer(watch, context)
        if response is None:
            raise draining(task_id)
        has_schema = tools.output_schema(self._agents.get(agent)) is not None
        return tools.result(
            agent, task_id, response.status, response.content, response.data, has_schema=has_schema
        )

    async def _cancelled(self, context: Context, params: CancelledNotificationParams) -> None:
        """Cancel a call of the same session, which can wait at another gateway."""

    def _client(self, context: Context) -> Client:
        if self._local is not None:
            return self._local
        assert context.request is not None  # only a local client has none
        return Client.over_http(context, context.request)


def _translated(handler: Handler[Params, Result]) -> Handler[Params, Result]:
    """The handler, whose errors are those of JSON-RPC."""

    @wraps(handler)
    async def handle(context: Context, params: Params) -> Result:
        try:
            return await handler(context, params)
        except Exception as error:
            raise error_of(error) from error

    return handle


@asynccontextmanager
async def _nothing(_: Server[object]) -> AsyncIterator[object]:
    """What the SDK would hand to each request."""
    yield None
