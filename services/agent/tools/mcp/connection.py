"""The connection to one MCP server, renewed until the process ends."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import structlog

from services.agent.tools.mcp.bounds import McpLink
from services.agent.tools.mcp.catalogue import Catalogue, differences
from services.agent.tools.mcp.results import Result
from services.agent.tools.mcp.session import (
    LIST_S,
    BrokenOff,
    McpFault,
    McpSession,
    NotSent,
    open_session,
    reason_of,
)
from services.agent.tools.mcp.stdio import last_error_line
from services.agent.tools.python_tool import IN_DOUBT
from shared.definitions.functions import JsonObject
from shared.definitions.mcp import McpServer
from shared.definitions.tools.call_info import Progress
from shared.errors import ToolError
from shared.telemetry.logs import masked_text

log = structlog.get_logger()

T = TypeVar("T")

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Waits between attempts: doubled each time, less a random part of up to a half."""
WANTED_WAIT_S = 5.0
"""The longest wait while calls want the server."""
STABLE_S = 60.0
"""After a connection of this length the next wait is the first one again."""
RELIST_S = 300.0
"""The server's lists are read again after this time, as not every server announces changes."""
LEAST_RELIST_S = 5.0
"""The least time between two readings, however often a server announces changes."""
READY_S = 10.0
"""The time for which a call waits for a server that is starting, or starting again."""
CANCEL_S = 1.0
MOST_SILENT = 2
"""A server hangs, and is restarted, after so many calls in a row that had no answer in time while
nothing else came from it."""


@dataclass
class McpConnection:
    """Keeps a session with a server open, and makes the calls."""

    server: McpServer
    folder: Path
    on_change: Callable[[], None] = lambda: None
    """Called when the catalogue has another content than before."""
    on_state: Callable[[bool], None] = lambda _: None
    """Called with True when the server is connected, and with False when it no longer is."""
    catalogue: Catalogue = field(default_factory=lambda: Catalogue({}))
    """The server's tools and prompts when they were last listed; kept while the server is away."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first attempt has ended, whether the server was reached or not."""
    fault: str = "has not been reached yet"
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _session: McpSession | None = None
    _link: McpLink = field(default_factory=McpLink)
    _silent: int = 0

    async def serve(self) -> None:
        """Connect, and connect again whenever the connection is lost. Ends only if cancelled."""
        failed = 0
        while True:
            began, link = time.monotonic(), McpLink()
            try:
                error = await _outcome(self._connected(link))
                self.fault = link.reason or reason_of(error)
            finally:
                self._lose()
                self.on_state(False)
            self.tried.set()
            failed = 1 if time.monotonic() - began > STABLE_S else failed + 1
            longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failed - 1, 10))
            wait_s = longest * random.uniform(0.5, 1)
            said = last_error_line(link)
            log.warning(
                "MCP server not connected",
                mcp=self.server.name,
                reason=masked_text(self.fault),
                **({"last_line": said} if said else {}),
                retry_s=round(wait_s, 1),
            )
            await self._wait(wait_s)

    async def call(self, tool: str, arguments: JsonObject, announce: Progress) -> Result:
        """Call a tool. Raises `ToolError` if there is no result, with text for the model."""

        async def report(progress: float, total: float | None, message: str | None) -> None:
            numbers = [it for it in (progress, total) if it is not None]
            if all(map(math.isfinite, numbers)):
                announce(*numbers)

        repeatable = self.server.may_repeat(tool)
        return await self._ask(lambda it: it.call(tool, arguments, report), repeatable=repeatable)

    async def read(self, uri: str) -> Result:
        """Read a resource, or list them all. Raises `ToolError` as `call` does."""
        if uri:
            return await self._ask(lambda it: it.read(uri), repeatable=True)
        return Result(await self._ask(lambda it: it.resources(), repeatable=True))

    async def _ask(self, request: Callable[[McpSession], Awaitable[T]], *, repeatable: bool) -> T:
        name, timeout_s = self.server.name, self.server.timeout_s
        doubt = "" if repeatable else f" {IN_DOUBT}"
        for _ in range(2):  # a session that the server has forgotten is opened anew
            session, link = await self.opened(), self._link
            began = time.monotonic()
            try:
                async with asyncio.timeout(timeout_s):
                    return await request(session)
            except TimeoutError as error:
                self._note_silence(link, began)
                raise ToolError(
                    f"the MCP server '{name}' gave no answer within {timeout_s:.0f} s.{doubt}"
                ) from error
            except NotSent as error:
                unsent = error
            except BrokenOff as error:
                raise ToolError(
                    f"the MCP server '{name}' broke off during the call: it {error}.{doubt}"
                ) from error
            except McpFault as error:
                raise ToolError(f"the MCP server '{name}' {error}") from error
        raise ToolError(f"the MCP server '{name}' was not called: it {unsent}") from unsent

    async def opened(self) -> McpSession:
        """The open session, once there is one. Raises `ToolError` if there is none soon."""
        if self._link.broken.is_set():
            self._lose()
            self.fault = self._link.reason
        self._wanted.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await self._ready.wait()
        if self._session is None:
            raise ToolError(
                f"the MCP server '{self.server.name}' was not called: it {masked_text(self.fault)}"
            )
        return self._session

    async def _wait(self, seconds: float) -> None:
        """Wait for the next attempt; a call that waits for the server shortens it."""
        self._wanted.clear()
        await asyncio.sleep(least := min(seconds, WANTED_WAIT_S))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds - least):
                await self._wanted.wait()

    def _lose(self) -> None:
        self._ready.clear()
        self._session = None

    def _note_silence(self, link: McpLink, since: float) -> None:
        self._silent = self._silent + 1 if link.heard_at < since else 0
        if self._silent >= MOST_SILENT:
            link.break_off("hangs: nothing came from it during its last calls")

    async def _connected(self, link: McpLink) -> None:
        """Open a session and keep it until it breaks, which raises."""
        async with open_session(self.server, self.folder, link) as session:
            await self._list(session)
            self._link, self._session, self._silent = link, session, 0
            self._ready.set()
            self.tried.set()
            self.on_state(True)
            log.info(
                "MCP server connected",
                mcp=self.server.name,
                server=session.described,
                tools=len(self.catalogue.specs),
            )
            async with asyncio.TaskGroup() as jobs:
                jobs.create_task(session.listen())
                jobs.create_task(self._relist(session))
                await link.broken.wait()
                raise BrokenOff(link.reason)

    async def _relist(self, session: McpSession) -> None:
        while True:
            await asyncio.sleep(LEAST_RELIST_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(RELIST_S):
                    await session.changed.wait()
            session.changed.clear()
            try:
                await self._list(session)
            except (McpFault, TimeoutError) as error:  # it may only be busy: calls will show
                log.warning(
                    "MCP server not listed again", mcp=self.server.name, reason=reason_of(error)
                )

    async def _list(self, session: McpSession) -> None:
        async with asyncio.timeout(LIST_S):
            found, faults = await session.catalogue()
        if found == self.catalogue:
            return
        for fault in faults:
            log.warning("part of an MCP server left out", mcp=self.server.name, reason=fault)
        if self.catalogue.tools:
            changes = differences(self.catalogue, found)
            log.warning("MCP server has changed its tools", mcp=self.server.name, **changes)
        self.catalogue = found
        self.on_change()


async def _outcome(work: Coroutine[None, None, None]) -> BaseException:
    """The error with which endless work ends, once it has ended; the work is cancelled if its
    caller is. A cancellation is repeated: the SDK's scopes can take one for their own."""
    job = asyncio.create_task(work)
    try:
        await asyncio.wait([job])
    finally:
        while not job.done():
            job.cancel()
            await asyncio.wait([job], timeout=CANCEL_S)
    if job.cancelled():
        return TimeoutError()
    return job.exception() or TimeoutError()
