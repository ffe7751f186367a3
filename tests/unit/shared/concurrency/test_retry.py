from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.concurrency.retry import retry, run_to_completion
from shared.errors import BrokerError, RunLost, StoreError


class Flaky:
    """Fails so many times, then succeeds."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def attempt(self) -> str:
        if self.left:
            self.left -= 1
            raise BrokerError(f"{self.left} more")
        return "done"


async def test_an_attempt_is_repeated_until_it_succeeds_and_each_failure_is_reported() -> None:
    failures: list[str] = []
    done = await retry(
        Flaky(3).attempt,
        BrokerError,
        max_wait_s=0.01,
        on_failure=lambda error: failures.append(str(error)),
    )
    assert done == "done"
    assert failures == ["2 more", "1 more", "0 more"]


async def test_another_failure_is_raised_at_once() -> None:
    failures: list[Exception] = []
    with pytest.raises(BrokerError):
        await retry(Flaky(1).attempt, StoreError, max_wait_s=0.01, on_failure=failures.append)
    assert failures == []


async def test_without_patience_left_the_failure_is_raised() -> None:
    failures: list[Exception] = []
    with pytest.raises(BrokerError, match="1 more"):
        await retry(
            Flaky(2).attempt,
            BrokerError,
            max_wait_s=0.01,
            on_failure=failures.append,
            give_up_after_s=0,
        )
    assert len(failures) == 1


async def test_work_whose_caller_was_cancelled_runs_to_its_end() -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.set()

    caller = asyncio.create_task(run_to_completion(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    may_end.set()
    await ended.wait()


async def test_a_failure_after_its_caller_has_gone_is_logged_once_and_not_by_asyncio() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.set()
        raise RunLost("it goes on elsewhere")

    caller = asyncio.create_task(run_to_completion(work()))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    with capture_logs() as logged:
        may_end.set()
        await ended.wait()
        await asyncio.sleep(0)  # what is to be done once it has ended is done in the next turn
    gc.collect()
    assert [line["error"] for line in logged] == ["it goes on elsewhere"]
    assert complaints == []


async def test_a_caller_that_waits_gets_the_failure_itself() -> None:
    async def work() -> None:
        raise RunLost("it goes on elsewhere")

    with pytest.raises(RunLost):
        await run_to_completion(work())
