from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from shared.concurrency.fault_boundary import contained


class Panic(BaseException):
    """Like the exceptions of extensions in other languages."""


@pytest.mark.parametrize(
    "error", [ValueError, Panic, KeyboardInterrupt, SystemExit, asyncio.CancelledError]
)
async def test_a_fault_is_logged_with_its_traceback_and_ends_no_neighbour(
    error: type[BaseException],
) -> None:
    """A `CancelledError` without a cancellation is a fault too."""

    async def work() -> None:
        raise error("out of order")

    with capture_logs() as lines:
        async with asyncio.TaskGroup() as jobs:
            jobs.create_task(contained(work, "a row was not read"))
            neighbour = jobs.create_task(asyncio.sleep(0, "well"))
    assert neighbour.result() == "well"
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("a row was not read", "error")
    ]
    assert isinstance(lines[0]["exc_info"], error)


async def test_a_job_that_is_cancelled_ends() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    job = asyncio.create_task(contained(work, "never"))
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
