"""Waiting for the first of several coroutines to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


async def first_of(
    *waits: Coroutine[object, object, object], timeout_s: float | None = None
) -> None:
    """Return when one of the coroutines has ended, or after `timeout_s`; the others are cancelled.

    Their results and errors are ignored: the caller checks the state that they wait for.
    """
    jobs = [asyncio.create_task(wait) for wait in waits]
    try:
        await asyncio.wait(jobs, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for job in jobs:
            job.cancel()
