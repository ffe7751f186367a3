"""A call that blocks, in a thread of its own that nothing waits for but its caller."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from functools import partial


async def in_thread(function: Callable[..., object], arguments: dict[str, object]) -> object:
    """What the function returns or raises. Cancelled, it runs on, and its result is dropped.

    Unlike `asyncio.to_thread` it never waits for a free thread, and a process ends without it.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[object] = loop.create_future()
    call = partial(contextvars.copy_context().run, function, **arguments)

    def settle(tell: Callable[[], None]) -> None:
        if not outcome.done():
            tell()

    def work() -> None:
        try:
            tell = partial(outcome.set_result, call())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller must hear it
            tell = partial(outcome.set_exception, _raisable(error))
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, tell)

    threading.Thread(target=work, name=getattr(function, "__name__", None), daemon=True).start()
    return await outcome


def _raisable(error: BaseException) -> BaseException:
    """A future can't carry `StopIteration`: a coroutine that raises it looks as if it returned."""
    return RuntimeError("it raised StopIteration") if isinstance(error, StopIteration) else error
