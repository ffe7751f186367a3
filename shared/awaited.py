"""What a user's async function comes to: awaited in the event loop, and able to end nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

CLEAN_UP_S = 1.0
"""Seconds that an async function may take to end once its call is cancelled: a run's end waits."""


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


async def awaited(later: Later) -> Outcome:
    """What it comes to; an async iterator is read to its end. Raises only `CancelledError`, and
    only when the caller is cancelled.

    In a task of its own: a function that cancels its task, or lets `SystemExit` out of it, would
    otherwise cancel the run or end the event loop.
    """
    task = asyncio.ensure_future(_outcome(later))
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=CLEAN_UP_S)
        raise
    return Outcome(raised=asyncio.CancelledError()) if task.cancelled() else task.result()


async def _outcome(later: Later) -> Outcome:
    try:
        value = later.start()
        if isinstance(value, Awaitable):
            value = await value
        if isinstance(value, AsyncIterator):
            value = [item async for item in value]
        return Outcome(value)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the call's outcome
        return Outcome(raised=error)
