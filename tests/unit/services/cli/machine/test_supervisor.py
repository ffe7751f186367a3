"""Real child processes, each a line or two of Python, forked and started by themselves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

import pytest

from services.cli.forking.client import Forks
from services.cli.machine.supervisor import LONGEST_LINE, Children, Role
from shared.errors import SettingsError
from shared.process.orphans import orphan_cleanup

PATIENCE_S = 20.0
# A handler may interrupt a print, whose buffer takes no other one then.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b'no\\n'))
print('up', flush=True)
while True: time.sleep(0.05)
"""
POLITE = """
import os, signal, sys, time
def end(*_): os.write(1, b'bye\\n'); sys.exit(0)
signal.signal(signal.SIGTERM, end)
print('up', flush=True)
while True: time.sleep(0.05)
"""


@dataclass
class Shown:
    """Children, and the lines that they have printed."""

    group: int
    environment: dict[str, str]
    forks: Forks | None
    folder: Path
    lines: list[tuple[str, str]] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self.more.set()

    def children(self, end_s: float = PATIENCE_S) -> Children:
        environment, forks = self.environment, self.forks
        return Children(environment, self.group, self.show, end_s, forks, first_pause_s=0.01)

    def role(self, code: str) -> Role:
        package = self.folder / "child"
        package.mkdir()
        text = f"def main():\n{indent(code, '    ')}\n    return 0\n"
        text += "if __name__ == '__main__':\n    main()\n"
        (package / "__main__.py").write_text(text)
        return Role("bob", "child")

    async def prints(self, line: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while line not in [text for _, text in self.lines]:
                self.more.clear()
                await self.more.wait()


@pytest.fixture(params=["forked", "by itself"])
async def shown(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shown]:
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    environment = {**os.environ, "HUTCH_TEST": "set", "PYTHONPATH": path}
    with orphan_cleanup("kill 0") as group:
        forks = Forks([], LONGEST_LINE) if request.param == "forked" else None
        if forks:
            forks.prepare(environment, group)
        yield Shown(group, environment, forks, tmp_path)
        if forks:
            forks.end()


async def cancelled(job: asyncio.Task[None], act: Callable[[], Awaitable[None]]) -> None:
    await act()
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job


async def test_each_line_is_shown_under_its_name(shown: Shown) -> None:
    code = "import os, sys; print(os.environ['HUTCH_TEST']); print('two', file=sys.stderr)"
    await shown.children().keep(shown.role(code))
    assert sorted(shown.lines) == [("bob", "set"), ("bob", "two")]


async def test_a_line_that_is_too_long_is_dropped(shown: Shown) -> None:
    await shown.children().keep(shown.role(f"print('x' * {2 * LONGEST_LINE}); print('after')"))
    assert shown.lines[-1] == ("bob", "after")
    assert sum(len(line) for _, line in shown.lines) <= LONGEST_LINE + len("after")


async def test_a_child_that_ends_well_is_not_started_again(shown: Shown) -> None:
    await shown.children().keep(shown.role("print('once')"))
    assert shown.lines == [("bob", "once")]


async def test_a_child_that_crashes_is_started_again_up_to_a_limit(shown: Shown) -> None:
    await shown.children().keep(shown.role("import sys; print('up'); sys.exit(1)"))
    assert [line for _, line in shown.lines] == [
        *("up", "ended with exit code 1: started again in 0.01 s"),
        *("up", "ended with exit code 1: started again in 0.02 s"),
        *("up", "ended with exit code 1: started again in 0.04 s"),
        *("up", "ended with exit code 1: started again in 0.08 s"),
        *("up", "ended with exit code 1: started again in 0.16 s"),
        *("up", "ended with exit code 1, 6 crashes within 120 s: not started again"),
    ]


async def test_a_killed_child_is_started_again(shown: Shown, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = f"""
import os, pathlib
mark = pathlib.Path({str(mark)!r})
if not mark.exists():
    mark.touch(); os.kill(os.getpid(), 9)
"""
    await shown.children().keep(shown.role(code))
    assert shown.lines == [("bob", "ended with SIGKILL: started again in 0.01 s")]


async def test_wrong_settings_are_raised_and_the_process_is_not_started_again(shown: Shown) -> None:
    code = "import sys; print('hutch agent bob: no model: set it'); sys.exit(2)"
    with pytest.raises(SettingsError, match=r"^no model: set it$"):
        await shown.children().keep(shown.role(code))
    assert len(shown.lines) == 1


async def test_a_cancelled_child_may_finish_and_its_last_line_is_shown(shown: Shown) -> None:
    job = asyncio.create_task(shown.children().keep(shown.role(POLITE)))
    await cancelled(job, lambda: shown.prints("up"))
    assert shown.lines == [("bob", "up"), ("bob", "bye")]


async def test_a_child_that_is_cancelled_while_it_starts_has_ended_afterwards(shown: Shown) -> None:
    kept = shown.children()
    job = asyncio.create_task(kept.keep(shown.role(POLITE)))
    await cancelled(job, lambda: asyncio.sleep(0))
    assert not kept._alive


async def test_a_child_that_does_not_end_is_killed(shown: Shown) -> None:
    job = asyncio.create_task(shown.children(end_s=0.5).keep(shown.role(STUBBORN)))
    async with asyncio.timeout(PATIENCE_S):
        await cancelled(job, lambda: shown.prints("up"))
    assert ("bob", "no") in shown.lines


async def test_a_hurried_child_gets_a_second_signal(shown: Shown) -> None:
    kept = shown.children(end_s=2.0)
    job = asyncio.create_task(kept.keep(shown.role(STUBBORN)))
    await shown.prints("up")
    kept.hurry()
    await cancelled(job, lambda: shown.prints("no"))
    assert shown.lines.count(("bob", "no")) == 2
