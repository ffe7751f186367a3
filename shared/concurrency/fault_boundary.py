"""The boundary around a fault: a fault in one run, message or row affects no other.

It also never ends the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


def is_own_cancellation(error: BaseException) -> bool:
    """Whether the error cancels the running job. Only such an error may pass a boundary.

    Any other `CancelledError` came out of the called code, and is a fault.
    """
    job = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (job is None or job.cancelling() > 0)


async def contained(work: Callable[[], Awaitable[None]], fault: str) -> None:
    """Do the work, and log what it raises as `fault`, with its traceback, instead of raising it.

    This includes `KeyboardInterrupt` and `SystemExit`, which would end the process.
    """
    try:
        await work()
    except BaseException as error:
        if is_own_cancellation(error):
            raise
        log.error(fault, exc_info=error)
