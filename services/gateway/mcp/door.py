"""`POST /mcp`: the Model Context Protocol over streamable HTTP.

The SDK takes 21 MiB and half a second to load, so the first request loads it.
"""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from services.gateway.access.caller import Reader
from services.gateway.problems import problem_of
from services.gateway.tasks.hub import Hub
from shared.concurrency.threads import in_thread

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

PATH = "/mcp"
SESSION, VERSION = "mcp-session-id", "mcp-protocol-version"
INVALID_REQUEST, INTERNAL_ERROR = -32600, -32603

router = APIRouter(include_in_schema=False)


class Door:
    """Loads the server when it is wanted first."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._wanted, self._ready = asyncio.Event(), asyncio.Event()
        self._manager: StreamableHTTPSessionManager | None = None

    async def serve(self) -> None:
        """Serve what `manager` returns, until cancelled."""
        await self._wanted.wait()
        server = await in_thread(import_module, "services.gateway.mcp.server")
        manager: StreamableHTTPSessionManager = await server.over_http(self._hub)
        async with manager.run():
            self._manager = manager
            self._ready.set()
            await asyncio.Event().wait()

    async def manager(self) -> StreamableHTTPSessionManager:
        self._wanted.set()
        await self._ready.wait()
        assert self._manager is not None
        return self._manager


def of(request: Request) -> Door:
    door: Door = request.app.state.mcp
    return door


class Exchange(Response):
    """The response to one request, which the SDK sends.

    A client of an earlier revision gets the id of a session when it begins. No gateway keeps it: it
    only makes the ids of the client's requests unique, so that any gateway can cancel one.
    """

    def __init__(self, manager: StreamableHTTPSessionManager, *, begins_session: bool) -> None:
        super().__init__()
        self._manager = manager
        self._begins_session = begins_session

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_session(message: Message) -> None:
            if self._begins_session and message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SESSION] = uuid4().hex
            await send(message)

        await self._manager.handle_request(scope, receive, send_with_session)


@router.post(PATH)
async def exchange(
    request: Request, caller: Reader, door: Annotated[Door, Depends(of)]
) -> Exchange:
    """One message of MCP."""
    begins = not {SESSION, VERSION} & set(request.headers.keys())
    return Exchange(await door.manager(), begins_session=begins)


def response(error: Exception) -> JSONResponse:
    """The response to a request that is refused before the SDK sees it."""
    problem = problem_of(error)
    code = INTERNAL_ERROR if problem.status >= 500 else INVALID_REQUEST
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": problem.detail}}
    return JSONResponse(body, problem.status.value, headers=problem.headers)
