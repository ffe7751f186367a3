"""The tools that the conformance suite of MCP calls by name, by agents.

An agent's name has no underscores, and its argument is a prompt. So a proxy before the gateway
rewrites the calls of some of these tools. It changes no response.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from tests.support.processes.agents import calling


def call(tool: str, given: Mapping[str, Any]) -> tuple[str, str] | None:
    """The agent and the prompt in place of a call of one of the suite's tools."""
    match tool:
        case "greet":
            return "bob", f"[[reply Hello, {given.get('name')}!]]"
        case "slow_compute":  # longer than a call that is answered without a task
            return "bob", f"[[latency {given.get('seconds', 0) + 2}]][[reply Computed.]]"
        case "failing_job":
            return "late", "[[latency 60]][[reply Never.]]"
        case "test_error_handling":
            return "bob", "[[fail 400]]"
        case "test_simple_text":
            return "bob", "[[reply This is a simple text response for testing.]]"
        case "test_tool_with_progress":
            return "alice", f"{calling('bob', '[[reply Hello.]]')}[[then]][[reply Bob greets.]]"
    return None


def proxy(http: httpx2.AsyncClient) -> Starlette:
    """`http` is a client of the gateway."""

    async def forward(request: Request) -> StreamingResponse:
        body = await request.body()
        headers = {name: it for name, it in request.headers.items() if name != "content-length"}
        message = json.loads(body) if body else {}
        params = message.get("params") or {}
        if message.get("method") == "tools/call":
            found = call(params.get("name", ""), params.get("arguments") or {})
            if found:
                if headers.get("mcp-name") == params["name"]:
                    headers["mcp-name"] = found[0]
                params |= {"name": found[0], "arguments": {"prompt": found[1]}}
                body = json.dumps(message).encode()
        sent = http.build_request(request.method, "/mcp", content=body, headers=headers)
        response = await http.send(sent, stream=True)
        return StreamingResponse(
            response.aiter_raw(),
            response.status_code,
            {name: it for name, it in response.headers.items() if name != "content-length"},
            background=BackgroundTask(response.aclose),
        )

    return Starlette(routes=[Route("/mcp", forward, methods=["GET", "POST", "DELETE"])])
