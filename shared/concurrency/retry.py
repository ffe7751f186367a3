"""Retrying an attempt, and completing work whose caller is cancelled.

Every task goes through this code. tenacity would build dozens of objects for a call that succeeds
at once, a twentieth of a task's cost.
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
"""The first wait. It doubles after each attempt, and up to a random second is added to each."""


async def retry(
    attempt: Callable[[], Awaitable[T]],
    on: type[Exception] | tuple[type[Exception], ...],
    *,
    max_wait_s: float,
    on_failure: Callable[[Exception], object],
    give_up_after_s: float = math.inf,
) -> T:
    """Repeat an attempt while it fails with `on`; `on_failure` is called with each failure.

    A wait is at most `max_wait_s`. A failure after `give_up_after_s` is raised.
    """
    began, wait_s = time.monotonic(), FIRST_S
    while True:
        try:
            return await attempt()
        except on as error:
            on_failure(error)
            if time.monotonic() - began >= give_up_after_s:
                raise
        await asyncio.sleep(min(max_wait_s, wait_s + random.random()))
        wait_s = min(max_wait_s, wait_s * 2)


async def run_to_completion(work: Awaitable[T]) -> T:
    """The result of work that continues when its caller is cancelled; a failure is then logged,
    as there is no caller to raise it to."""
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        job.add_done_callback(_log_failure)
        raise


def _log_failure(job: asyncio.Future[T]) -> None:
    if not job.cancelled() and (error := job.exception()) is not None:
        log.warning("work failed after its caller was cancelled", error=str(error))
