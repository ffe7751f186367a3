"""The server of MCP: the agents are its tools."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import TypeVar

import structlog
from mcp.server.caching import CacheHint
from mcp.server.context import HandlerResult
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CancelledNotificationParams,
    CancelTaskRequestParams,
    GetTaskRequestParams,
    PaginatedRequestParams,
)
from pydantic import BaseModel, ValidationError

from services.gateway.mcp.calls import Calls
from services.gateway.mcp.client import ClientOf, Context, http_client
from services.gateway.mcp.tasks import EXTENSION, Tasks
from services.gateway.mcp.tools import INPUT_SCHEMA, AgentTools
from services.gateway.problems import problem_of
from services.gateway.tasks.hub import Hub
from shared import VERSION
from shared.definitions.loader import described

log = structlog.get_logger()

INSTRUCTIONS = "Each tool is an agent: it works on its own, with its own model and tools."
LIST_MS = 60_000
"""How long a client may keep the list of tools, in milliseconds."""

Params = TypeVar("Params", bound=BaseModel)


async def server(hub: Hub, client_of: ClientOf) -> Server[object]:
    """The server for any transport."""
    folder = hub.gateway.folder
    agents, faults = await described(folder, folder.described)
    for fault in faults:
        log.warning("an agent's output can't be loaded", fault=fault)
    tools = AgentTools(folder.names, agents)
    calls, tasks = Calls(hub, tools, client_of), Tasks(hub, tools, client_of)
    made: Server[object] = Server(
        "hutch",
        version=VERSION,
        instructions=INSTRUCTIONS,
        lifespan=_nothing,
        cache_hints={"tools/list": CacheHint(LIST_MS, "private")},
        get_tool_input_schema=lambda _: INPUT_SCHEMA,
    )
    made.extensions[EXTENSION] = {}

    def serve(
        method: str,
        params: type[Params],
        handler: Callable[[Context, Params], Awaitable[HandlerResult]],
    ) -> None:
        @wraps(handler)
        async def handle(context: Context, given: Params) -> HandlerResult:
            try:
                return await handler(context, given)
            except Exception as error:
                raise _translated(error) from error

        made.add_request_handler(method, params, handle)

    serve("tools/list", PaginatedRequestParams, calls.list)
    serve("tools/call", CallToolRequestParams, calls.call)
    serve("tasks/get", GetTaskRequestParams, tasks.get)
    serve("tasks/update", GetTaskRequestParams, tasks.update)
    serve("tasks/cancel", CancelTaskRequestParams, tasks.cancel)
    made.add_notification_handler(
        "notifications/cancelled", CancelledNotificationParams, calls.cancelled
    )
    return made


async def over_http(hub: Hub) -> StreamableHTTPSessionManager:
    """The server over HTTP, without state: each request is served by itself."""
    return StreamableHTTPSessionManager(await server(hub, http_client), stateless=True)


def _translated(error: Exception) -> Exception:
    """The error in the form of JSON-RPC, which the SDK sends."""
    if isinstance(error, MCPError | ValidationError):
        return error
    problem = problem_of(error)
    code = INTERNAL_ERROR if problem.status >= 500 else INVALID_PARAMS
    return MCPError(code, problem.detail, {"status": int(problem.status)})


@asynccontextmanager
async def _nothing(_: Server[object]) -> AsyncIterator[object]:
    """The state that the SDK would give each request: none."""
    yield None
