"""Waiting for the first of several things."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def first_of(
    *waits: Coroutine[object, object, object], timeout_s: float | None = None
) -> None:
    """Return when one of them has ended, or after `timeout_s`; the others are then cancelled.

    What they return or raise is not looked at: the caller sees from the state what has happened.
    """
    jobs = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(jobs, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for job in jobs:
            job.cancel()
