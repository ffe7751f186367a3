"""Child processes: shown line by line, restarted when they crash, ended together."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from shared.errors import SettingsError

FIRST_PAUSE_S = 0.5
"""Before the first restart; doubled for each further crash."""
LONGEST_PAUSE_S = 15.0
MOST_CRASHES = 5
"""Within `CRASHES_S`; one more, and the process is not started again."""
CRASHES_S = 120.0
LONGEST_LINE = 1024 * 1024
"""Bytes; a log line is far shorter."""
KILLED_S = 5.0
"""What a killed process may take to be gone."""

Show = Callable[[str, str], None]
"""Gets a role's name and one line of what it said, or of what is said about it."""


@dataclass(frozen=True)
class Role:
    """One process to keep: what it is called, and its command."""

    name: str
    command: tuple[str, ...]


@dataclass
class Children:
    """`group` is the process group that the children join; `patience_s` is what one may take
    to end after SIGTERM before it is killed."""

    environment: Mapping[str, str]
    group: int
    show: Show
    patience_s: float
    _alive: set[Process] = field(default_factory=set)

    async def keep(self, role: Role) -> None:
        """Run a process until it ends well, crashes too often, or this job is cancelled.

        Cancelled, it returns when the process is gone. Raises `SettingsError`, with the last
        line that the process said, when its settings are wrong: no restart can help there.
        """
        crashes: list[float] = []
        while True:
            code, said = await self._live(role)
            if code == 0:
                return
            if code == SettingsError.exit_code:
                raise SettingsError(said.partition(": ")[2] or f"{role.name}: exit code {code}")
            now = time.monotonic()
            crashes = [at for at in crashes if at > now - CRASHES_S] + [now]
            ended = f"ended with {_exit(code)}"
            if len(crashes) > MOST_CRASHES:
                often = f"{len(crashes)} crashes within {CRASHES_S:.0f} s"
                self.show(role.name, f"{ended}, {often}: not started again")
                return
            pause_s = min(FIRST_PAUSE_S * 2 ** (len(crashes) - 1), LONGEST_PAUSE_S)
            self.show(role.name, f"{ended}: started again in {pause_s:g} s")
            await asyncio.sleep(pause_s)

    def hurry(self) -> None:
        """Tell all that are left to end once more: to our processes, a second SIGTERM is a stop."""
        for process in self._alive:
            _send(process, signal.SIGTERM)

    async def _live(self, role: Role) -> tuple[int, str]:
        """One life: the exit code and the last line."""
        # A start that is cancelled half-way leaves a pipe open that complains when the loop is
        # gone: it is let come to its end first.
        starting = asyncio.create_task(self._start(role))
        try:
            process, following = await asyncio.shield(starting)
            said = await asyncio.shield(following)
            return await process.wait(), said
        finally:
            process, following = await starting
            await self._end(process, following)
            self._alive.discard(process)

    async def _start(self, role: Role) -> tuple[Process, asyncio.Task[str]]:
        process = await asyncio.create_subprocess_exec(
            *role.command,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **self.environment},
            process_group=self.group,
            limit=LONGEST_LINE,
        )
        self._alive.add(process)
        return process, asyncio.create_task(self._follow(role, process))

    async def _follow(self, role: Role, process: Process) -> str:
        assert process.stdout is not None
        said = ""
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than any log line: the reader has dropped it
                continue
            if not line:
                return said
            said = line.decode("utf-8", "replace").rstrip()
            self.show(role.name, said)

    async def _end(self, process: Process, following: asyncio.Task[str]) -> None:
        """Gone within `patience_s`, its last lines shown."""
        _send(process, signal.SIGTERM)
        await asyncio.wait({following}, timeout=self.patience_s)
        _send(process, signal.SIGKILL)
        async with asyncio.timeout(KILLED_S):
            await process.wait()
        following.cancel()  # where a grandchild holds the pipe open
        await asyncio.gather(following, return_exceptions=True)


def _send(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)


def _exit(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name
