"""Requests of MCP as bytes on the wire, for what the SDK's client does not do."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx2

MODERN = "2026-07-28"
TASKS = "io.modelcontextprotocol/tasks"
ACCEPT = {"Accept": "application/json, text/event-stream"}
INFO = {"name": "test", "version": "1"}


def message(method: str, params: object, id: int | None = None) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params, **({"id": id} if id else {})}


@dataclass
class Wire:
    """A client of the revision of 2026, which declares the extension of tasks."""

    http: httpx2.AsyncClient
    declares: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    _ids: count[int] = field(default_factory=lambda: count(1))

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The JSON-RPC response to a request."""
        extensions: dict[str, dict[str, str]] = {TASKS: {}} if self.declares else {}
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {"extensions": extensions},
        }
        headers = {
            **ACCEPT,
            "MCP-Protocol-Version": MODERN,
            "Mcp-Method": method,
            "Mcp-Name": params.get("name") or params.get("taskId") or "",
        }
        body = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": {**params, "_meta": meta},
        }
        response = await self.http.post("/mcp", json=body, headers=headers | self.headers)
        made: dict[str, Any] = response.json()
        return made

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        made = await self.ask(method, **params)
        assert "result" in made, made
        found: dict[str, Any] = made["result"]
        return found

    async def error(self, method: str, **params: Any) -> dict[str, Any]:
        made = await self.ask(method, **params)
        assert "error" in made, made
        found: dict[str, Any] = made["error"]
        return found

    async def call(self, agent: str, prompt: str) -> dict[str, Any]:
        return await self.result("tools/call", name=agent, arguments={"prompt": prompt})
