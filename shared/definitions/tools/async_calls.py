"""Calls of users' async functions: awaited in the event loop, without the means to end it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

R = TypeVar("R")

CLEAN_UP_S = 1.0
"""Seconds that a cancelled async function may take to end; the run's end waits for it."""


@dataclass(frozen=True)
class Later:
    """An async call that has not begun; `start` is called in the event loop."""

    start: Callable[[], object]


@dataclass(frozen=True)
class Outcome:
    value: object = None
    raised: BaseException | None = None

    def result(self) -> object:
        """Raises what the function raised."""
        if self.raised is not None:
            raise self.raised
        return self.value


async def awaited(later: Later, *, clean_up_s: float = CLEAN_UP_S) -> Outcome:
    """The outcome of a call; an async iterator is read to its end. Raises only `CancelledError`,
    and only if the caller is cancelled.

    The call has a task of its own: a function that cancels its task or raises `SystemExit` would
    otherwise cancel the run or end the event loop. The tasks that it creates are contained too.
    """
    loop = asyncio.get_running_loop()
    if loop.get_task_factory() is None:
        loop.set_task_factory(_task)
    task = asyncio.ensure_future(_outcome(later))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=clean_up_s)
        raise
    return Outcome(raised=asyncio.CancelledError()) if task.cancelled() else task.result()


async def _outcome(later: Later) -> Outcome:
    _is_users.set(True)
    try:
        value = later.start()
        if isinstance(value, Awaitable):
            value = await value
        if isinstance(value, AsyncIterator):
            value = [item async for item in value]
        return Outcome(value)
    except BaseException as error:  # noqa: BLE001 - any exception is the call's outcome
        return Outcome(raised=error)


_is_users: ContextVar[bool] = ContextVar("_is_users", default=False)
"""Set in the task of a user's function; the tasks that it creates inherit it."""


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine of a user's task that never raises what would end the event loop."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine

    def send(self, value: object) -> Any:
        return self._step(self._coroutine.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._coroutine.throw, *error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return step(*arguments)
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"a task has raised {type(error).__name__}") from error


def _task(
    loop: asyncio.AbstractEventLoop,
    made: Coroutine[Any, Any, R] | Generator[Any, None, R],
    /,
    **options: Any,
) -> asyncio.Task[R]:
    if _is_users.get() and isinstance(made, Coroutine):
        made = _Contained(made)
    return asyncio.Task(made, loop=loop, **options)
