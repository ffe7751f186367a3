from __future__ import annotations

import asyncio

from shared.concurrency.first import first_of


async def test_the_first_ends_the_wait_and_the_others_are_cancelled() -> None:
    first, never, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def other() -> None:
        try:
            await never.wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(first_of(first.wait(), other()))
    await asyncio.sleep(0)
    first.set()
    async with asyncio.timeout(10):
        await waiting
        await cancelled.wait()


async def test_a_wait_ends_after_its_time_too() -> None:
    async with asyncio.timeout(10):
        await first_of(asyncio.Event().wait(), timeout_s=0.01)
