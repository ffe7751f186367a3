"""The extension `io.modelcontextprotocol/tasks`: a call that takes longer is a task, which the
client polls. It is the task of Hutch, so any gateway knows it, and it outlives client and gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CancelTaskRequestParams,
    GetTaskRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import JsonValue

from services.gateway.mcp.client import ClientOf, Context
from services.gateway.mcp.tools import AgentTools
from services.gateway.tasks import lookup
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.lookup import Known, TaskView
from services.gateway.tasks.submission import cancel
from shared.store.processes.api_keys import Scope

EXTENSION = "io.modelcontextprotocol/tasks"

AT_ONCE_S = 1.0
"""A call that ends within this time is answered with its result, without a task."""

FIRST_POLL_MS, LAST_POLL_MS = 500, 5000
"""Clients are asked to poll after a tenth of the time that the task has taken, within these."""

Json = dict[str, JsonValue]


def declared(context: Context) -> bool:
    """Whether the client declares the extension with this request."""
    capabilities = context.session.client_capabilities
    extensions = capabilities.extensions if capabilities else None
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION in (extensions or {})


@dataclass(frozen=True)
class Tasks:
    """The methods of the extension."""

    hub: Hub
    tools: AgentTools
    client_of: ClientOf

    async def get(self, context: Context, params: GetTaskRequestParams) -> Json:
        """The task, with the result of its call once it has ended."""
        known = await self._find(context, params.task_id, Scope.READ)
        gateway = self.hub.gateway
        view = await lookup.view(gateway.store, known.agent, known.task_id)
        state = _state(view, gateway.settings.keep_days)
        if view.content is None:
            return {**state, "status": "working"}
        if view.status == "cancelled":
            return {**state, "status": "cancelled"}
        result = self.tools.result(view, view.id)
        dumped = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**state, "status": "completed", "result": dumped}

    async def update(self, context: Context, params: GetTaskRequestParams) -> Json:
        """Nothing: an agent asks its client for no input."""
        await self._find(context, params.task_id, Scope.RUN)
        return {}

    async def cancel(self, context: Context, params: CancelTaskRequestParams) -> Json:
        known = await self._find(context, params.task_id, Scope.RUN)
        await cancel(self.hub, self.client_of(context).caller, known.agent, known.task_id)
        return {}

    async def _find(self, context: Context, task_id: str, scope: Scope) -> Known:
        """Raises an error if the client does not declare the extension, names another task in the
        header by which proxies route, may not do this, or sees no such task."""
        if context.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", context.method)
        if not declared(context):
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "Missing required client capability",
                {"requiredCapabilities": {"extensions": {EXTENSION: {}}}},
            )
        named = context.request.headers.get(MCP_NAME_HEADER) if context.request else None
        if named is not None and decode_header_value(named) != task_id:
            raise MCPError(HEADER_MISMATCH, f"the header {MCP_NAME_HEADER} names another task")
        caller = self.client_of(context).caller
        caller.need(scope)
        return await lookup.find(self.hub.gateway.store, caller, task_id, None)


def created(view: TaskView, keep_days: float) -> Json:
    """The result of a call that goes on as a task."""
    return {"resultType": "task", **_state(view, keep_days), "status": "working"}


def _state(view: TaskView, keep_days: float) -> Json:
    """What is said of every task. It is kept `keep_days` after its end, and one that no agent has
    taken so long after it was sent."""
    now = datetime.now(UTC)
    begun = view.created_at or now
    kept = timedelta(days=keep_days)
    ends = view.ended_at or (begun if view.status == "sent" else None)
    age_ms = int((now - begun) / timedelta(milliseconds=1))
    return {
        "taskId": view.id,
        "statusMessage": f"{view.agent}: {view.status}",
        "createdAt": begun.isoformat(),
        "lastUpdatedAt": (view.ended_at or begun).isoformat(),
        "ttlMs": None if ends is None else int((ends + kept - begun) / timedelta(milliseconds=1)),
        "pollIntervalMs": min(max(age_ms // 10, FIRST_POLL_MS), LAST_POLL_MS),
    }
