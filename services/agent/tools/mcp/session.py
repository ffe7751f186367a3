"""A session with an MCP server, by the official SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import mcp_types as types
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.shared.dispatcher import ProgressFnT
from pydantic import TypeAdapter, ValidationError

from services.agent.tools.mcp.bounds import McpLink, clean, one_line
from services.agent.tools.mcp.catalogue import MOST_TOOLS, Catalogue, resource_tool, specs_of
from services.agent.tools.mcp.http import FORGOTTEN, http_transport
from services.agent.tools.mcp.results import MOST_URI_CHARS, Result, contents_of, result_of
from services.agent.tools.mcp.stdio import process_transport
from shared import VERSION
from shared.concurrency.threads import in_thread
from shared.definitions.functions import JsonObject
from shared.definitions.mcp import McpServer
from shared.errors import HutchError

CONNECT_S = 60.0
"""Seconds for a server's start and the first exchange: `npx` and `uvx` may have to load it."""
LIST_S = 30.0
_EXPIRED = "Session terminated"
"""The SDK's message when the server does not know the session any more."""
MOST_PAGES = 100
MOST_LISTED = 10 * MOST_TOOLS
"""The most tools of a server that are read; `allow` and `deny` choose among them."""
MOST_PROMPT_CHARS = 20_000
MOST_RESOURCES = 200
MOST_ERROR_CHARS = 500

R = TypeVar("R")

_RESULT: TypeAdapter[types.CallToolResult | types.InputRequiredResult] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)


class McpFault(HutchError):
    """A server has not done what was asked; the text continues a sentence about the server."""


class NotSent(McpFault):
    """The server has not received the request."""


class BrokenOff(McpFault):
    """The connection has ended before the answer."""


class McpSession:
    """An open session. Its calls raise `McpFault`; they have no time limit of their own."""

    def __init__(self, server: McpServer, client: Client, link: McpLink) -> None:
        self._server = server
        self._client = client
        self._link = link
        self.changed = asyncio.Event()
        """Set when the server has announced that its lists have changed."""

    @property
    def described(self) -> str:
        """The server's own name and version, and the revision of the protocol."""
        info = self._client.server_info
        name = f"{info.name} {info.version}" if info else "it has no name"
        return f"{one_line(name, 100)}, protocol {self._client.protocol_version}"

    async def catalogue(self) -> tuple[Catalogue, list[str]]:
        """The server's tools and prompts for the agent, and a line on each that can't be used."""
        capabilities = self._client.server_capabilities
        listed = await self._answer(_tools(self._client)) if capabilities.tools else []
        tools, faults = await in_thread(specs_of, self._server, listed)
        # Many servers say that they have resources, and have none.
        has_resources = capabilities.resources and await self._has_resources()
        resources = resource_tool(self._server) if has_resources else None
        texts: list[str] = []
        for prompt in self._server.prompts:
            try:
                texts.append(await self._prompt(prompt.name, prompt.arguments))
            except McpFault as error:
                faults.append(f"the prompt '{prompt.name}': it {error}")
        return Catalogue(tools, resources, "\n\n".join(texts)), faults

    async def call(
        self, tool: str, arguments: JsonObject, on_progress: ProgressFnT | None = None
    ) -> Result:
        """Call a tool. Its output is not validated against the schema that the server gives for
        it: the model reads it as it is."""
        request = types.CallToolRequest(
            params=types.CallToolRequestParams(name=tool, arguments=arguments)
        )
        session = self._client.session
        result = await self._answer(
            session.send_request(request, _RESULT, progress_callback=on_progress)
        )
        if isinstance(result, types.InputRequiredResult):
            raise McpFault("asks for an input during the call, which is not supported")
        return result_of(result)

    async def read(self, uri: str) -> Result:
        result = await self._answer(self._client.session.read_resource(uri))
        return contents_of(result.contents)

    async def resources(self) -> str:
        """The server's resources and templates of their URIs, one a line."""
        lines = [_resource(it.uri, it) for it in await self._listed_resources()]
        lines += [_resource(it.uri_template, it) for it in await self._templates()]
        more = ["…"] if len(lines) > MOST_RESOURCES else []
        return "\n".join([*lines[:MOST_RESOURCES], *more]) or "There are no resources."

    async def _has_resources(self) -> bool:
        return bool(await self._listed_resources() or await self._templates())

    async def _listed_resources(self) -> Sequence[types.Resource]:
        return (await self._answer(self._client.session.list_resources())).resources

    async def _templates(self) -> Sequence[types.ResourceTemplate]:
        request = self._client.session.list_resource_templates()
        try:
            return (await self._answer(request)).resource_templates
        except BrokenOff:
            raise
        except McpFault:  # many servers have no such method
            return ()

    async def listen(self) -> None:
        """Receive the announcements of a server that only sends them on request."""
        capabilities = self._client.server_capabilities
        if not (capabilities.tools and capabilities.tools.list_changed):
            return
        try:
            async with self._client.listen(tools_list_changed=True) as announced:
                async for _ in announced:
                    self.changed.set()
        except (MCPError, HutchError, TimeoutError, RuntimeError):
            return  # an older protocol announces unasked; any server is listed again at times

    async def _prompt(self, name: str, arguments: dict[str, str]) -> str:
        result = await self._answer(self._client.session.get_prompt(name, arguments))
        texts = [it.content.text for it in result.messages if it.content.type == "text"]
        return clean("\n\n".join(texts)[:MOST_PROMPT_CHARS]).strip()

    async def _answer(self, request: Awaitable[R]) -> R:
        try:
            return await request
        except MCPError as error:
            if error.code == types.CONNECTION_CLOSED:
                raise BrokenOff(self._link.reason or reason_of(error)) from error
            if error.code == types.INVALID_REQUEST and error.message == _EXPIRED:
                raise NotSent(FORGOTTEN) from error
            raise McpFault(reason_of(error)) from error
        except ValidationError as error:
            raise McpFault(reason_of(error)) from error


@asynccontextmanager
async def open_session(server: McpServer, folder: Path, link: McpLink) -> AsyncIterator[McpSession]:
    """Start or reach a server; see `reason_of` for what is raised.

    The context must be left once the link is broken.
    """

    async def receive(message: IncomingMessage) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            session.changed.set()

    client = Client(
        process_transport(server, folder, link) if server.command else http_transport(server, link),
        client_info=types.Implementation(name="hutch", version=VERSION),
        message_handler=receive,
        cache=None,
    )
    session = McpSession(server, client, link)
    async with AsyncExitStack() as stack:
        async with asyncio.timeout(CONNECT_S):
            await stack.enter_async_context(client)
        yield session


def reason_of(error: BaseException) -> str:
    """Why a session could not be opened, or has ended: it continues a sentence about the server."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case McpFault():
            return str(error)
        case TimeoutError():
            return "gives no answer in time"
        case MCPError():
            closed = error.code == types.CONNECTION_CLOSED
            what = "has closed the connection" if closed else "answers with an error"
            return f"{what}: {one_line(error.message, MOST_ERROR_CHARS)}"
        case ValidationError():
            return "answers against the protocol"
    return f"can't be reached: {one_line(str(error) or type(error).__name__, MOST_ERROR_CHARS)}"


async def _tools(client: Client) -> list[types.Tool]:
    found: list[types.Tool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.session.list_tools(
            params=types.PaginatedRequestParams(cursor=cursor) if cursor else None
        )
        found += page.tools
        cursor = page.next_cursor
        if not cursor or len(found) > MOST_LISTED:
            break
    return found[:MOST_LISTED]


def _resource(uri: str, it: types.Resource | types.ResourceTemplate) -> str:
    described = one_line(f"{it.title or it.name}. {it.description or ''}", MOST_ERROR_CHARS)
    return f"{one_line(uri, MOST_URI_CHARS)}: {described}"
