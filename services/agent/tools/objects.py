"""The objects of users' classes whose methods are tools: opened at the process's start, closed at
its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from shared.concurrency.threads import in_thread
from shared.definitions.functions import Tool
from shared.definitions.results import answered
from shared.definitions.tools.async_calls import Later, awaited
from shared.errors import ToolError, ToolsUnavailable

log = structlog.get_logger()

OPEN_S = 30.0
"""Seconds that `open` may take; a process that starts again waits less than for a broken one."""
CLOSE_S = 2.0
"""Seconds that `close` may take: the process has five for its whole end."""


@asynccontextmanager
async def opened(tools: Sequence[Tool]) -> AsyncIterator[list[Tool]]:
    """The tools, those of a class bound to one object of it, which is closed afterwards.

    Raises `ToolsUnavailable` if an object can't be made or opened.
    """
    async with AsyncExitStack() as stack:
        objects: dict[type, object] = {}
        for tool in tools:
            if tool.owner and tool.owner not in objects:
                objects[tool.owner] = await _open(tool.owner)
                stack.push_async_callback(_close, objects[tool.owner])
        yield [tool.bound(objects[tool.owner]) if tool.owner else tool for tool in tools]


async def _open(owner: type) -> object:
    name = owner.__name__
    try:
        async with asyncio.timeout(OPEN_S):
            made = await _result(name, owner)
            await _result(name, getattr(made, "open", None))
            return made
    except ToolError as error:
        log.error("a tool's object can't be opened", exception=error.detail)
        raise ToolsUnavailable(f"opening the object of the tools' class {error}") from error
    except TimeoutError as error:
        raise ToolsUnavailable(
            f"opening the object of the tools' class {name} took longer than {OPEN_S:.0f} s"
        ) from error


async def _close(made: object) -> None:
    name = type(made).__name__
    try:
        async with asyncio.timeout(CLOSE_S):
            await _result(name, getattr(made, "close", None))
    except ToolError as error:
        log.warning("a tool's object can't be closed", tool=name, exception=error.detail)
    except TimeoutError:
        log.warning("a tool's object is not closed in time", tool=name, seconds=CLOSE_S)


async def _result(name: str, function: Callable[[], object] | None) -> object:
    """What a function of the user's returns, awaited where it must be. Raises `ToolError`."""
    if function is None:
        return None
    result = await in_thread(answered, name, function)
    if isinstance(result, Awaitable):
        outcome = await awaited(Later(lambda: result))
        return answered(name, outcome.result)
    return result
