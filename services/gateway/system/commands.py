"""Commands that run beside the gateway, each in a process of its own."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, PIPE, Process
from codecs import getincrementaldecoder
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog

from services.gateway.problems import Problem
from shared.process.stopping import Stopping
from shared.settings.caller import CALLER

MOST_AT_ONCE = 8
"""Each is a Python process, which takes about a second of CPU to start, and 60 MB."""

CHUNK_BYTES = 64 * 1024
CHUNKS = 4
"""As much output waits for a slow client; then the command itself waits."""

INTERRUPT_S = 5.0
"""How long a command may take to end after SIGINT; then it is killed."""

SILENCE_S = 10.0
"""An empty line is sent after so long without output, so that no proxy cuts the stream."""

PYTHON = (sys.executable, "-P", "-m", "services.cli")  # -P: the folder may have a package `shared`

_NOT_PASSED_ON = ("HUTCH_GATEWAY", "HUTCH_GATEWAY_KEY", "HUTCH_GATEWAY_KEY_FILE", "COLUMNS")

log = structlog.get_logger()


@dataclass(frozen=True)
class Terminal:
    """The terminal of the client; a command finds one with the same properties."""

    columns: int
    lines: int
    stdout: bool
    """Whether it shows stdout; otherwise that goes to a file or a pipe."""
    stderr: bool
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Command:
    arguments: Sequence[str]
    stdin: str | None
    terminal: Terminal
    caller: str
    """The name of the client's key, which is recorded with what the command does."""


@dataclass
class CommandRunner:
    """Runs commands with the gateway's own settings."""

    stopping: Stopping
    _jobs: asyncio.TaskGroup | None = None
    _running: int = 0

    async def serve(self) -> None:
        """Hold the jobs of the commands until cancelled, and end those that still run then."""
        async with asyncio.TaskGroup() as jobs:
            self._jobs = jobs
            await asyncio.Event().wait()

    def output(self, command: Command) -> AsyncIterator[str]:
        """Run a command and yield its output and its exit code as lines of JSON.

        It begins with the first line that is asked for. It is interrupted, as by Ctrl-C, when the
        iterator is closed or cancelled, and when this process is to end. Raises 503 if too many
        commands run; if too many have begun by the first line, the output says so.
        """
        if self._jobs is None or self.stopping.mode or self._running >= MOST_AT_ONCE:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "this gateway ends, or runs too many commands at once: try again in a moment",
                {"Retry-After": "2"},
            )
        return self._output(_Running(command, self.stopping), self._jobs)

    async def _output(self, running: _Running, jobs: asyncio.TaskGroup) -> AsyncIterator[str]:
        if self._running >= MOST_AT_ONCE:
            busy = "hutch: the gateway runs too many commands: try again in a moment\n"
            yield json.dumps({"stderr": busy}) + "\n" + json.dumps({"exit": 1}) + "\n"
            return
        self._running += 1
        jobs.create_task(running.serve()).add_done_callback(self._ended)
        try:
            async for line in running.output():
                yield line
        finally:
            running.left.set()

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._running -= 1


@dataclass
class _Running:
    command: Command
    stopping: Stopping
    _lines: asyncio.Queue[dict[str, str | int]] = field(
        default_factory=lambda: asyncio.Queue(CHUNKS)
    )
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """The client has left: the command is interrupted, and its output is dropped."""

    async def output(self) -> AsyncIterator[str]:
        while True:
            try:
                line = await asyncio.wait_for(self._lines.get(), SILENCE_S)
            except TimeoutError:
                yield "\n"
                continue
            yield json.dumps(line, ensure_ascii=False) + "\n"
            if "exit" in line:
                return

    async def serve(self) -> None:
        """Run the command to its end."""
        try:
            code = await self._run()
        except OSError as error:
            log.error("a command could not be started", error=str(error))
            await self._put({"stderr": "hutch: the gateway can't start commands now\n"})
            code = 1
        await self._put({"exit": code})

    async def _run(self) -> int:
        with ExitStack() as files:
            terminal = self.command.terminal
            out = files.enter_context(_channel(terminal, terminal.stdout))
            err = files.enter_context(_channel(terminal, terminal.stderr))
            process = await asyncio.create_subprocess_exec(
                *PYTHON,
                *self.command.arguments,
                stdin=DEVNULL if self.command.stdin is None else PIPE,
                stdout=out.child,
                stderr=err.child,
                env=_environment(self.command),
                start_new_session=True,
            )
            out.close_child()
            err.close_child()
            try:
                async with asyncio.TaskGroup() as jobs:
                    jobs.create_task(self._write(process))
                    ending = jobs.create_task(self._end_early(process))
                    reading = [
                        jobs.create_task(self._read(name, channel.own))
                        for name, channel in (("stdout", out), ("stderr", err))
                    ]
                    await process.wait()
                    ending.cancel()
                    # A process that the command has left behind may keep these open.
                    await asyncio.wait(reading, timeout=INTERRUPT_S)
                    for job in reading:
                        job.cancel()
            finally:
                _signal(process, signal.SIGKILL)
                await process.wait()
        code = process.returncode or 0
        return code if code >= 0 else 128 - code

    async def _write(self, process: Process) -> None:
        if process.stdin is None:
            return
        with suppress(ConnectionError):
            process.stdin.write((self.command.stdin or "").encode())
            await process.stdin.drain()
        process.stdin.close()

    async def _end_early(self, process: Process) -> None:
        """Interrupt the command when its client leaves, or when this process is to end."""
        waits = [asyncio.create_task(it) for it in (self.left.wait(), self.stopping.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        _signal(process, signal.SIGINT)
        if not self.left.is_set():
            ends = "hutch: this gateway ends, and the command with it: give it again\n"
            await self._put({"stderr": ends})
        await asyncio.sleep(INTERRUPT_S)
        _signal(process, signal.SIGKILL)

    async def _read(self, name: str, file: int) -> None:
        decoder = getincrementaldecoder("utf-8")("replace")
        reader = asyncio.StreamReader(limit=CHUNK_BYTES)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader),
            os.fdopen(os.dup(file), "rb", 0),
        )
        try:
            while chunk := await _chunk(reader):
                if text := decoder.decode(chunk):
                    await self._put({name: text})
            if rest := decoder.decode(b"", final=True):
                await self._put({name: rest})
        finally:
            transport.close()

    async def _put(self, line: dict[str, str | int]) -> None:
        """Hand a line over to the client; without a client it is dropped."""
        putting = asyncio.create_task(self._lines.put(line))
        left = asyncio.create_task(self.left.wait())
        try:
            await asyncio.wait({putting, left}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
            left.cancel()


async def _chunk(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(CHUNK_BYTES)
    except OSError:  # Linux reports the end of a pseudo-terminal so
        return b""


@dataclass
class _Channel:
    """Two ends of a pipe or a pseudo-terminal."""

    own: int
    child: int

    def close_child(self) -> None:
        if self.child >= 0:
            os.close(self.child)
        self.child = -1


@contextmanager
def _channel(terminal: Terminal, is_terminal: bool) -> Iterator[_Channel]:
    own, child = os.openpty() if is_terminal else os.pipe()
    channel = _Channel(own, child)
    try:
        if is_terminal:
            _set_up(child, terminal)
        yield channel
    finally:
        channel.close_child()
        os.close(own)


def _set_up(file: int, terminal: Terminal) -> None:
    """The client's size; and bytes pass unchanged: the client's own terminal translates them."""
    attributes = termios.tcgetattr(file)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(file, termios.TCSANOW, attributes)
    size = struct.pack("HHHH", terminal.lines, terminal.columns, 0, 0)
    fcntl.ioctl(file, termios.TIOCSWINSZ, size)


def _environment(command: Command) -> dict[str, str]:
    """This process's own settings, and nothing of the client's but its terminal and its name."""
    own = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    given = {**command.terminal.environment, CALLER: command.caller}
    path = os.pathsep.join(filter(None, sys.path))  # it imports from where we do
    return {**own, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **given}


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
