"""A user's Python function as a tool of the agent, within the limits of its entry in the file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from services.agent.llm.chat import ToolSpec
from services.agent.tools.threads import ToolThreads
from shared.definitions.functions import JsonObject, Tool
from shared.definitions.tools.call_info import CallInfo
from shared.errors import ToolError

log = structlog.get_logger()

R = TypeVar("R")

IN_DOUBT = "Whether it has acted is unknown: find out before you call it again."


@dataclass
class PythonTool:
    """A tool, and the threads that it shares with the others of its process."""

    tool: Tool
    threads: ToolThreads

    def __post_init__(self) -> None:
        most = self.tool.choice.concurrency
        self._places = asyncio.Semaphore(most) if most else None

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(
            name=self.tool.name,
            description=self.tool.description,
            parameters=self.tool.parameters,
            repeatable=self.tool.repeatable,
            approval=self.tool.choice.approval,
        )

    async def call(
        self, arguments: JsonObject, info: CallInfo, on_abandoned: Callable[[], None]
    ) -> str:
        """See `AgentTool.call`. The timeout counts from when the tool's own limit admits the call;
        a call waits for that no longer than the timeout."""
        started: list[asyncio.Future[Any]] = []

        async def thread(function: Callable[[], R], /) -> R:
            job = await self.threads.start(function)
            started.append(job)
            return await asyncio.shield(job)

        await self._enter()
        try:
            async with self._limit(started):
                return await self.tool.call(arguments, self._info(info), thread)
        finally:
            if started and not started[-1].done():
                self._abandon(started[-1])
                on_abandoned()
            else:
                self._leave()

    async def _enter(self) -> None:
        if self._places is None:
            return
        try:
            async with asyncio.timeout(self.tool.choice.timeout_s):
                await self._places.acquire()
        except TimeoutError:
            most = self.tool.choice.concurrency
            raise ToolError(
                f"{self.tool.name} was not called: {most} of its calls are in progress, which is "
                "its limit"
            ) from None

    def _leave(self) -> None:
        if self._places is not None:
            self._places.release()

    def _info(self, info: CallInfo) -> CallInfo:
        timeout = self.tool.choice.timeout
        if timeout is None:
            return info
        deadline = datetime.now(UTC) + timeout
        return replace(info, deadline=min(deadline, info.deadline or deadline))

    @asynccontextmanager
    async def _limit(self, started: list[asyncio.Future[Any]]) -> AsyncIterator[None]:
        limit = asyncio.timeout(self.tool.choice.timeout_s)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            name, timeout_s = self.tool.name, self.tool.choice.timeout_s
            if not started:
                raise ToolError(f"{name} was not called: no thread was free") from None
            doubt = "" if self.tool.repeatable else f" {IN_DOUBT}"
            raise ToolError(f"{name} gave no answer within {timeout_s:.0f} s.{doubt}") from None

    def _abandon(self, job: asyncio.Future[Any]) -> None:
        """Leave a function that can't be stopped; its place is free when it returns."""
        self.threads.abandon(job)
        name, began, left = self.tool.name, time.monotonic(), self.threads.abandoned
        log.warning("a tool's function runs on after its call", tool=name, abandoned=left)

        def returned(_: object) -> None:
            self._leave()
            seconds = round(time.monotonic() - began, 1)
            log.info("a tool's function has returned after its call", tool=name, late_s=seconds)

        job.add_done_callback(returned)
