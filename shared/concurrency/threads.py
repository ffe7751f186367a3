"""A call that blocks, in a thread of its own that nothing waits for but its caller."""

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
    """What the function returns or raises. Cancelled, it runs on, and its result is dropped.

    Unlike `asyncio.to_thread` it never waits for a free thread, and a process ends without it.
    What it raises that would end the event loop, or look like an end or a cancellation of the
    caller, comes as a `RuntimeError` with that as its cause.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[R] = loop.create_future()
    call = partial(contextvars.copy_context().run, partial(function, *args, **kwargs))

    def settle(tell: Callable[[], None]) -> None:
        if not outcome.done():
            tell()

    def work() -> None:
        try:
            tell = partial(outcome.set_result, call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller must get it
            tell = partial(outcome.set_exception, _raisable(error))
        with suppress(RuntimeError):  # the loop has ended: there is no caller any more
            loop.call_soon_threadsafe(settle, tell)

    threading.Thread(target=work, daemon=True).start()
    return await outcome


def _raisable(error: BaseException) -> Exception:
    """A future can't carry `StopIteration`, and the loop obeys any `SystemExit`."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    raisable = RuntimeError(f"it raised {type(error).__name__}")
    raisable.__cause__ = error
    return raisable
