"""Where a fault ends: one run, message or row never takes its process or its neighbours with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


def is_own_cancellation(error: BaseException) -> bool:
    """Whether this is the cancellation of the job that runs; nothing else passes a boundary.

    A `CancelledError` that leaked out of what was called is a fault like any other.
    """
    job = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (job is None or job.cancelling() > 0)


async def contained(work: Callable[[], Awaitable[None]], fault: str) -> None:
    """Do some work; what it raises is logged as `fault`, with its traceback, and goes no further.

    `KeyboardInterrupt` and `SystemExit` too: out of a job they would end the process.
    """
    try:
        await work()
    except BaseException as error:
        if is_own_cancellation(error):
            raise
        log.error(fault, exc_info=error)
