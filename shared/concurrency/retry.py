"""Trying again while that can help, and going on though the caller is gone.

On the paths that every task takes: tenacity builds dozens of objects for a call that succeeds at
once, a twentieth of a task's cost.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

T = TypeVar("T")
log = structlog.get_logger()

FIRST_S = 0.1
"""The first wait, doubled after each try; up to a second by chance is added to each."""


async def retry(
    attempt: Callable[[], Awaitable[T]],
    on: type[Exception] | tuple[type[Exception], ...],
    *,
    most_s: float,
    report: Callable[[Exception], object],
    patience_s: float = math.inf,
) -> T:
    """Repeat an attempt while it fails with `on`; `told` hears of each failure.

    A wait is at most `most_s`. After `patience_s` the failure is raised.
    """
    began, wait_s = time.monotonic(), FIRST_S
    while True:
        try:
            return await attempt()
        except on as error:
            report(error)
            if time.monotonic() - began >= patience_s:
                raise
        await asyncio.sleep(min(most_s, wait_s + random.random()))
        wait_s = min(most_s, wait_s * 2)


async def to_its_end(work: Awaitable[T]) -> T:
    """The result of work that goes on when its caller is cancelled; if it fails then, that is
    logged: no caller is left to raise it to."""
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        job.add_done_callback(_log_failure)
        raise


def _log_failure(job: asyncio.Future[T]) -> None:
    if not job.cancelled() and (error := job.exception()) is not None:
        log.warning("what went on without its caller has failed", error=str(error))
