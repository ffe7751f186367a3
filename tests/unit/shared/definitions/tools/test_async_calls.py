"""Async tools, and the calls that are cancelled."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from shared.definitions.functions import load
from shared.definitions.tools.async_calls import Later, awaited
from shared.errors import ToolError
from tests.support.tool_file import failure, tool


async def test_a_tool_that_cancels_itself_has_failed(tmp_path: Path) -> None:
    source = "import asyncio\nasync def lookup() -> None:\n    raise asyncio.CancelledError"
    with pytest.raises(ToolError, match="lookup failed: it was cancelled"):
        await tool(tmp_path, source).call({})


async def test_a_tool_whose_run_is_cancelled_is_too(tmp_path: Path) -> None:
    source = """
import asyncio
begun, ended = asyncio.Event(), []
async def wait() -> None:
    await begun.wait()
def what() -> list[str]:
    return ended
async def lookup() -> None:
    begun.set()
    try:
        await asyncio.sleep(60)
    finally:
        ended.append('ended')
"""
    job = asyncio.create_task(tool(tmp_path, source).call({}))
    await load(tmp_path, "orders.py:wait").call({})
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await load(tmp_path, "orders.py:what").call({}) == '["ended"]'


async def test_an_async_function_that_does_not_end_is_left_behind() -> None:
    begun, end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def lookup() -> None:
        while not end.is_set():
            begun.set()
            with suppress(asyncio.CancelledError):
                await end.wait()
        ended.set()

    job = asyncio.create_task(awaited(Later(lookup), clean_up_s=0.01))
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not ended.is_set()
    end.set()
    await ended.wait()


@pytest.mark.parametrize("raised", ["SystemExit", "KeyboardInterrupt"])
@pytest.mark.parametrize(
    "begin",
    [
        "await asyncio.gather(end())",
        "await asyncio.create_task(end())",
        "async with asyncio.TaskGroup() as jobs:\n        jobs.create_task(end())",
    ],
)
async def test_an_exception_that_ends_a_tools_own_task_does_not_end_the_process(
    tmp_path: Path, raised: str, begin: str
) -> None:
    source = f"""
import asyncio
async def end() -> None:
    await asyncio.sleep(0)
    raise {raised}
async def lookup() -> None:
    {begin}
"""
    assert (await failure(tool(tmp_path, source))).startswith("lookup failed: ")


async def test_the_tasks_of_a_tool_work_as_any_others(tmp_path: Path) -> None:
    source = """
import asyncio
async def wait(n: int) -> int:
    await asyncio.sleep(0)
    return n
async def lookup() -> list[int]:
    late = asyncio.create_task(wait(3), name='late')
    late.cancel()
    try:
        async with asyncio.timeout(0):
            await asyncio.create_task(asyncio.sleep(60))
    except TimeoutError:
        return await asyncio.gather(wait(1), wait(2))
    return []
"""
    assert await tool(tmp_path, source).call({}) == "[1,2]"
