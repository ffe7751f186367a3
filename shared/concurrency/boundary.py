"""Containment of faults: an error in one run, message or row must not end its process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


def is_own_cancellation(error: BaseException) -> bool:
    """Whether the error is the cancellation of the current job, the only one to be raised again.

    A `CancelledError` that comes from called code is a fault like any other.
    """
    job = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (job is None or job.cancelling() > 0)


async def contained(work: Callable[[], Awaitable[None]], fault: str) -> None:
    """Do some work; an error is logged as `fault`, with its traceback, and not raised.

    This includes `KeyboardInterrupt` and `SystemExit`, which would end the process.
    """
    try:
        await work()
    except BaseException as error:
        if is_own_cancellation(error):
            raise
        log.error(fault, exc_info=error)
