from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from shared.concurrency.threads import in_thread
from tests.support.repository import REPOSITORY

MANY = 40
"""More than the threads that asyncio keeps on any machine of ours."""

HANGS = """
import asyncio, threading
from shared.concurrency.threads import in_thread
async def main():
    call = asyncio.create_task(in_thread(threading.Event().wait))
    await asyncio.sleep(0)
    call.cancel()
asyncio.run(main())
"""


async def test_however_many_calls_block_the_next_one_begins() -> None:
    meeting = threading.Barrier(MANY, timeout=20)
    await asyncio.gather(*(in_thread(meeting.wait) for _ in range(MANY)))


def test_a_process_ends_while_a_call_still_blocks() -> None:
    repository = REPOSITORY
    subprocess.run([sys.executable, "-c", HANGS], cwd=repository, timeout=30, check=True)


async def test_a_call_that_was_cancelled_runs_on_and_its_result_is_dropped() -> None:
    begin, ended = threading.Event(), threading.Event()

    def work() -> None:
        begin.wait(20)
        ended.set()

    call = asyncio.create_task(in_thread(work))
    await asyncio.sleep(0)
    call.cancel()
    begin.set()
    assert await asyncio.to_thread(ended.wait, 20)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_the_caller_gets_the_exception() -> None:
    def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(work)


@pytest.mark.parametrize(
    "raised",
    [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError],
)
async def test_an_exception_that_would_end_or_cancel_the_caller_is_raised_as_an_error(
    raised: type[BaseException],
) -> None:
    def work() -> None:
        raise raised

    with pytest.raises(RuntimeError, match=f"it raised {raised.__name__}"):
        await in_thread(work)


def test_a_thread_that_ends_after_its_event_loop_raises_nothing() -> None:
    """pytest fails a test whose thread ends with an exception."""
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def work() -> None:
        threads.append(threading.current_thread())
        ended.wait(20)

    async def begin() -> None:
        call = asyncio.create_task(in_thread(work))
        await asyncio.sleep(0)
        call.cancel()

    asyncio.run(begin())
    ended.set()
    threads[0].join(20)
    assert not threads[0].is_alive()
