"""Blocking calls, each in a thread of its own, which the end of the process does not wait for."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a new thread; returns or raises what it does.

    If the caller is cancelled, the function runs on and its result is dropped. Unlike
    `asyncio.to_thread`, this never waits for a free thread, and the process can end while the
    function runs. An error that would end the event loop, or look like the caller's own
    cancellation or end, is raised as a `RuntimeError` with the error as its cause.
    """
    return await start_thread(function, *args, **kwargs)


def start_thread(
    function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> asyncio.Future[R]:
    """`in_thread` for a caller that may wait less long than the function runs: await the result
    through `asyncio.shield`, and it is still set when the function returns."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[R] = loop.create_future()
    call = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))

    def settle(deliver: Callable[[], None]) -> None:
        if not outcome.done():
            deliver()

    def work() -> None:
        try:
            deliver = partial(outcome.set_result, call())
        except BaseException as error:  # noqa: BLE001 - every error is the caller's
            deliver = partial(outcome.set_exception, _raisable(error))
        with suppress(RuntimeError):  # the loop has ended, and with it the caller
            loop.call_soon_threadsafe(settle, deliver)

    threading.Thread(target=work, daemon=True).start()
    return outcome


def _raisable(error: BaseException) -> Exception:
    """The error, or a `RuntimeError` in its place: a future can't hold `StopIteration`, and
    `SystemExit` would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    raisable = RuntimeError(f"it raised {type(error).__name__}")
    raisable.__cause__ = error
    return raisable
