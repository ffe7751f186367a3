"""A tool's timeout and its places, and threads that never return."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from services.agent.tools.python_tool import PythonTool
from services.agent.tools.threads import ToolThreads
from shared.definitions.functions import JsonObject, load
from shared.definitions.tools.call_info import CallInfo
from shared.definitions.tools.checks import CHECK_LIMIT, load_check
from shared.definitions.tools.choice import ToolChoice
from shared.errors import ToolError
from tests.support.model.loop import until

SHORT = timedelta(milliseconds=100)

STUCK = """
import threading
free = threading.Event()
entered = threading.Semaphore(0)
def lookup() -> str:
    entered.release()
    free.wait(30)
    return 'late'
"""


class Stuck:
    """A tool whose calls return when they are let go."""

    def __init__(self, folder: Path, threads: ToolThreads, **options: object) -> None:
        (folder / "tools").mkdir()
        (folder / "tools" / "orders.py").write_text(STUCK, "utf-8")
        choice = ToolChoice(function="orders.py:lookup").model_copy(update=options)
        loaded = load(folder, choice)
        self.tool = PythonTool(loaded, threads)
        self.free: threading.Event = loaded.function.__globals__["free"]
        self.abandoned = 0

    async def call(self, arguments: JsonObject | None = None) -> str:
        return await self.tool.call(arguments or {}, CallInfo(), self._on_abandoned)

    def _on_abandoned(self) -> None:
        self.abandoned += 1


async def until_returned(threads: ToolThreads) -> None:
    await until(lambda: not threads.abandoned)


async def test_a_check_that_hangs_ends_at_its_limit_without_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    source = "import asyncio\nasync def polite(text: str) -> None:\n    await asyncio.sleep(60)\n"
    (tmp_path / "tools" / "checks.py").write_text(source, "utf-8")
    check = load_check(tmp_path, "checks.py:polite")
    assert check.choice.timeout == CHECK_LIMIT
    hasty = replace(check, choice=check.choice.model_copy(update={"timeout": SHORT}))
    with pytest.raises(ToolError, match="no answer within"):
        await PythonTool(hasty, ToolThreads()).call({"text": "Hi."}, CallInfo(), lambda: None)


async def test_a_plain_function_that_never_returns_costs_a_thread_and_is_reported(
    tmp_path: Path,
) -> None:
    threads = ToolThreads()
    stuck = Stuck(tmp_path, threads, timeout=SHORT)
    with structlog.testing.capture_logs() as logged:
        with pytest.raises(ToolError, match=r"no answer within 0 s\. Whether it has acted is"):
            await stuck.call()
        assert (threads.abandoned, threads.running, stuck.abandoned) == (1, 0, 1)
        stuck.free.set()
        await until_returned(threads)
    events = [line["event"] for line in logged]
    assert events == [
        "a tool's function runs on after its call",
        "a tool's function has returned after its call",
    ]
    assert {line["tool"] for line in logged} == {"lookup"}
    assert await stuck.call() == "late"


async def test_a_call_that_may_be_repeated_is_not_in_doubt(tmp_path: Path) -> None:
    stuck = Stuck(tmp_path, ToolThreads(), timeout=SHORT, repeatable=True)
    with pytest.raises(ToolError, match=r"^lookup gave no answer within 0 s\.$"):
        await stuck.call()
    stuck.free.set()


async def test_calls_are_refused_when_no_thread_will_be_free(tmp_path: Path) -> None:
    threads = ToolThreads(2)
    stuck = Stuck(tmp_path, threads, timeout=SHORT)
    for _ in range(2):
        with pytest.raises(ToolError, match="no answer"):
            await stuck.call()
    with pytest.raises(ToolError, match="2 earlier calls of tools have not returned"):
        await stuck.call()
    stuck.free.set()
    await until_returned(threads)
    assert await stuck.call() == "late"


async def test_a_call_waits_for_a_thread_that_another_call_uses(tmp_path: Path) -> None:
    threads = ToolThreads(1)
    stuck = Stuck(tmp_path, threads)
    calls = [asyncio.create_task(stuck.call()) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert threads.running == 1
    stuck.free.set()
    assert await asyncio.gather(*calls) == ["late"] * 3


async def test_a_call_that_got_no_thread_in_time_was_not_made(tmp_path: Path) -> None:
    threads = ToolThreads(1)
    stuck = Stuck(tmp_path, threads, timeout=SHORT)
    other = await threads.start(stuck.free.wait)
    with pytest.raises(ToolError, match="lookup was not called: no thread was free"):
        await stuck.call()
    assert stuck.abandoned == 0
    stuck.free.set()
    await other


async def test_a_stuck_call_keeps_its_place_among_the_tools_calls(tmp_path: Path) -> None:
    threads = ToolThreads()
    stuck = Stuck(tmp_path, threads, timeout=SHORT, concurrency=1)
    with pytest.raises(ToolError, match="no answer"):
        await stuck.call()
    with pytest.raises(ToolError, match="lookup was not called: 1 of its calls are in progress"):
        await stuck.call()
    stuck.free.set()
    await until_returned(threads)
    assert await stuck.call() == "late"


async def test_a_cancelled_call_is_reported_too(tmp_path: Path) -> None:
    threads = ToolThreads()
    stuck = Stuck(tmp_path, threads)
    call = asyncio.create_task(stuck.call())
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (threads.abandoned, stuck.abandoned) == (1, 1)
    stuck.free.set()
    await until_returned(threads)


async def test_calls_at_once_are_limited_for_async_functions_too(tmp_path: Path) -> None:
    source = """
import asyncio
most = now = 0
async def lookup() -> int:
    global most, now
    now += 1
    most = max(most, now)
    await asyncio.sleep(0.01)
    now -= 1
    return most
"""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "orders.py").write_text(source, "utf-8")
    made = PythonTool(
        load(tmp_path, ToolChoice(function="orders.py:lookup", concurrency=2)), ToolThreads()
    )
    results = await asyncio.gather(*(made.call({}, CallInfo(), lambda: None) for _ in range(6)))
    assert max(results) == "2"


async def test_an_async_function_is_cancelled_at_the_timeout(tmp_path: Path) -> None:
    source = """
import asyncio
ended = asyncio.Event()
async def lookup(deadline) -> None:
    try:
        await asyncio.sleep(30)
    finally:
        ended.set()
"""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "orders.py").write_text(source, "utf-8")
    choice = ToolChoice(function="orders.py:lookup").model_copy(update={"timeout": SHORT})
    loaded, threads = load(tmp_path, choice), ToolThreads()
    with pytest.raises(ToolError, match="lookup gave no answer within 0 s"):
        await PythonTool(loaded, threads).call({}, CallInfo(), lambda: None)
    assert loaded.function.__globals__["ended"].is_set()
    assert threads.abandoned == 0


async def test_the_deadline_that_a_function_sees_is_the_earlier_one(tmp_path: Path) -> None:
    source = "def lookup(deadline) -> str:\n    return deadline.isoformat()"
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "orders.py").write_text(source, "utf-8")
    now = datetime.now(UTC)
    choice = ToolChoice(function="orders.py:lookup").model_copy(
        update={"timeout": timedelta(minutes=1)}
    )
    made = PythonTool(load(tmp_path, choice), ToolThreads())
    for limit in (timedelta(seconds=5), timedelta(hours=1)):
        info = CallInfo(deadline=now + limit)
        seen = datetime.fromisoformat(await made.call({}, info, lambda: None))
        assert now <= seen <= now + min(limit, timedelta(minutes=2))
