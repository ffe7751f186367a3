"""Child processes: their lines are shown, they are restarted after a crash, and ended together."""

from __future__ import annotations

import asyncio
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from services.cli.forking.client import ForkedProcess, Forks
from services.cli.forking.server import PYTHON
from shared.errors import SettingsError

FIRST_PAUSE_S = 0.5
"""The delay before the first restart; doubled after each further crash."""
LONGEST_PAUSE_S = 15.0
MOST_CRASHES = 5
"""After more crashes than this within `CRASHES_S`, a process is not started again."""
CRASHES_S = 120.0
LONGEST_LINE = 1024 * 1024
"""In bytes; log lines are far shorter."""
KILLED_S = 5.0
"""The time limit for the end of a killed process."""

Show = Callable[[str, str], None]
"""Shows a line of a process's output, or a line about it. Arguments: the role's name, the line."""


Child = Process | ForkedProcess


@dataclass(frozen=True)
class Role:
    """A process to keep running: `python -m module argument…`."""

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """In addition to that of all processes."""


@dataclass
class Children:
    """The child processes, in the process group `group`.

    They are started by `forks`, in its environment, or else each by itself, in `environment`. A
    child that has not ended `end_s` after SIGTERM is killed.
    """

    environment: Mapping[str, str]
    group: int
    show: Show
    end_s: float
    forks: Forks | None = None
    first_pause_s: float = FIRST_PAUSE_S
    _alive: set[Child] = field(default_factory=set)

    async def keep(self, role: Role) -> None:
        """Run a process until it exits with 0, crashes too often, or this job is cancelled.

        A cancelled call returns when the process has ended. Raises `SettingsError` with the
        process's last line if its settings are wrong, since a restart can't help.
        """
        crashes: list[float] = []
        while True:
            code, last_line = await self._run(role)
            if code == 0:
                return
            if code == SettingsError.exit_code:
                raise SettingsError(
                    last_line.partition(": ")[2] or f"{role.name}: exit code {code}"
                )
            now = time.monotonic()
            crashes = [at for at in crashes if at > now - CRASHES_S] + [now]
            ended = f"ended with {_exit(code)}"
            if len(crashes) > MOST_CRASHES:
                often = f"{len(crashes)} crashes within {CRASHES_S:.0f} s"
                self.show(role.name, f"{ended}, {often}: not started again")
                return
            pause_s = min(self.first_pause_s * 2 ** (len(crashes) - 1), LONGEST_PAUSE_S)
            self.show(role.name, f"{ended}: started again in {pause_s:g} s")
            await asyncio.sleep(pause_s)

    def hurry(self) -> None:
        """Send SIGTERM again: after the second one our processes stop instead of draining."""
        for process in self._alive:
            _send(process, signal.SIGTERM)

    async def _run(self, role: Role) -> tuple[int, str]:
        """Run the process once; returns its exit code and its last line."""
        # The start always completes: a cancelled one would leave a pipe open, which causes a
        # warning after the event loop is closed.
        starting = asyncio.create_task(self._start(role))
        try:
            process, following = await asyncio.shield(starting)
            last_line = await asyncio.shield(following)
            return await process.wait(), last_line
        finally:
            process, following = await starting
            await self._end(process, following)
            self._alive.discard(process)

    async def _start(self, role: Role) -> tuple[Child, asyncio.Task[str]]:
        process: Child
        if self.forks:
            process = await self.forks.start(role.module, role.arguments, role.environment)
        else:
            process = await asyncio.create_subprocess_exec(
                *(*PYTHON, role.module, *role.arguments),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env={**self.environment, **role.environment},
                process_group=self.group,
                limit=LONGEST_LINE,
            )
        self._alive.add(process)
        return process, asyncio.create_task(self._follow(role, process))

    async def _follow(self, role: Role, process: Child) -> str:
        assert process.stdout is not None
        last_line = ""
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than LONGEST_LINE: asyncio has dropped it
                continue
            if not line:
                return last_line
            last_line = line.decode("utf-8", "replace").rstrip()
            self.show(role.name, last_line)

    async def _end(self, process: Child, following: asyncio.Task[str]) -> None:
        """End the process, within `end_s`, and show its last lines."""
        _send(process, signal.SIGTERM)
        await asyncio.wait({following}, timeout=self.end_s)
        _send(process, signal.SIGKILL)
        async with asyncio.timeout(KILLED_S):
            await process.wait()
        following.cancel()  # it still waits if a grandchild holds the pipe open
        await asyncio.gather(following, return_exceptions=True)
        if isinstance(process, ForkedProcess):
            process.close()


def _send(process: Child, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def _exit(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name
