"""Retrying work, and finishing work whose caller was cancelled.

Every task takes these paths. tenacity would build dozens of objects even for a call that succeeds
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
"""The first wait. It doubles after each try, and a random part of a second is added."""


async def retry(
    attempt: Callable[[], Awaitable[T]],
    on: type[Exception] | tuple[type[Exception], ...],
    *,
    most_s: float,
    report: Callable[[Exception], object],
    patience_s: float = math.inf,
) -> T:
    """Repeat an attempt while it raises `on`; `report` is called with each such error.

    A wait takes at most `most_s`. After `patience_s` the error is raised.
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
    """The result of work that goes on when its caller is cancelled. If it fails after that, the
    error is logged."""
    job = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        job.add_done_callback(_log_failure)
        raise


def _log_failure(job: asyncio.Future[T]) -> None:
    if not job.cancelled() and (error := job.exception()) is not None:
        log.warning("what went on without its caller has failed", error=str(error))
