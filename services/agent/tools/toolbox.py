"""An agent's tools: specs for the model, calls by name."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from services.agent.instance import Instance
from services.agent.llm.chat import ToolSpec
from services.agent.loop.journal import StepKey
from shared.definitions.functions import JsonObject
from shared.definitions.tools.call_info import CallInfo, Progress
from shared.errors import ToolError
from shared.store.runs.run import Run

PROGRESS_S = 1.0
"""The least time between two reports of one call's progress."""


class AgentTool(Protocol):
    """A tool of an agent, wherever it comes from."""

    @property
    def spec(self) -> ToolSpec: ...

    async def call(
        self, arguments: JsonObject, info: CallInfo, on_abandoned: Callable[[], None]
    ) -> str:
        """The result for the model. Raises `ToolError`, whose text is for the model.

        `on_abandoned` is called if the call ends while its work goes on.
        """


async def no_other(_name: str) -> AgentTool | None:
    return None


class Toolbox:
    """The tools of one agent; the loader guarantees that their names are unique.

    `checks` are called like tools, by their references, which no tool has as its name. No model
    sees them. `find` finds a tool that may come and go, by its name, and may raise `ToolError`.
    """

    def __init__(
        self,
        tools: Sequence[AgentTool],
        checks: Mapping[str, AgentTool] | None = None,
        find: Callable[[str], Awaitable[AgentTool | None]] = no_other,
    ) -> None:
        self._find = find
        self.specs = tuple(tool.spec for tool in tools)
        self._tools = {**(checks or {}), **{tool.spec.name: tool for tool in tools}}

    async def call(
        self,
        name: str,
        arguments: JsonObject,
        info: CallInfo = CallInfo(),  # noqa: B008 - it is frozen
        on_abandoned: Callable[[], None] = lambda: None,
    ) -> str:
        """Call a tool. Raises `ToolError` as `AgentTool.call` does, and for a tool that the agent
        had at the claim and has no more."""
        tool = self._tools.get(name) or await self._find(name)
        if tool is None:
            raise ToolError(f"the tool '{name}' is not there any more")
        return await tool.call(arguments, info, on_abandoned)


@dataclass(frozen=True)
class RunTools:
    """The tools of one run: the idempotency key of a call is its step's id."""

    toolbox: Toolbox
    run: Run
    instance: Instance

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        run, announce = self.run, self.instance.announce
        info = CallInfo(
            idempotency_key=key.step_id(run.run_id, run.nonce),
            deadline=datetime.fromtimestamp(run.deadline_at, UTC),
            session=run.session,
            run_id=run.run_id,
            progress=progress_of(partial(announce, "tool.progress", run, tool=name)),
        )
        abandoned = partial(announce, "tool.abandoned", run, tool=name)
        return await self.toolbox.call(name, arguments, info, abandoned)


def progress_of(announce: Callable[..., None]) -> Progress:
    """Announces the progress of a call, at most once in `PROGRESS_S`; numbers only."""
    loop, next_at = asyncio.get_running_loop(), 0.0

    def progress(done: float, total: float | None = None) -> None:
        nonlocal next_at
        numbers = {"done": float(done)} | ({} if total is None else {"total": float(total)})
        if not all(map(math.isfinite, numbers.values())):
            raise ValueError("progress is a finite number")
        if (now := time.monotonic()) >= next_at:
            next_at = now + PROGRESS_S
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(partial(announce, **numbers))

    return progress
