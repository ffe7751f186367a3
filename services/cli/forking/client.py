"""Processes from the fork server, with the interface of asyncio's subprocesses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

from services.cli.forking import server
from services.cli.forking.server import PYTHON, SERVER
from shared.errors import HutchError

ATTEMPTS = 2
"""The fork servers that are asked for one process: the first may have been killed."""


class ForkedProcess:
    """A process that the fork server has started.

    It does not outlive the fork server: it is killed then.
    """

    def __init__(
        self,
        pid: int,
        stdout: asyncio.StreamReader,
        output: asyncio.BaseTransport,
        status: asyncio.StreamReader,
        server: _Server,
    ) -> None:
        self.pid = pid
        self.stdout = stdout
        self._output = output
        self._server = server
        self._waiting = asyncio.create_task(self._exit_code(status))

    @property
    def returncode(self) -> int | None:
        return self._waiting.result() if self._waiting.done() else None

    def send_signal(self, number: int) -> None:
        """Send a signal. It is lost if the process has ended, and never reaches another one."""
        self._server.send({"signal": [self.pid, number]})

    async def wait(self) -> int:
        return await asyncio.shield(self._waiting)

    def close(self) -> None:
        """Read no more output: another process may still hold the pipe open."""
        self._output.close()

    async def _exit_code(self, status: asyncio.StreamReader) -> int:
        if line := await status.readline():
            return int(line)
        with suppress(ProcessLookupError):
            if os.getpgid(self.pid) == self._server.group:  # else the number is another process's
                os.kill(self.pid, signal.SIGKILL)
        return -signal.SIGKILL


class Forks:
    """Starts processes by a fork server, and another fork server when it has died.

    All have the same environment, and are in one process group.
    """

    def __init__(self, names: Collection[str], limit: int) -> None:
        """The fork server imports the modules `names`, and calls the functions `module:function`.
        `limit` is the length of the longest line, in bytes, that is read from a process."""
        self._names = names
        self._limit = limit
        self._server: _Server | None = None
        self._environment: Mapping[str, str] = {}
        self._group = 0
        self._starting = asyncio.Lock()

    def fork(self) -> None:
        """Fork the fork server from this process, so that it shares what is imported already.

        It must be called before this process has an event loop or an open file that is locked.
        Without this call, or if this process has several threads, the fork server is started by
        itself, when it is needed.
        """
        if threading.active_count() > 1:
            return
        if sys.__stdout__:
            sys.__stdout__.flush()  # else each process would print what is in the buffer
        ours, theirs = socket.socketpair()
        if pid := os.fork():
            theirs.close()
            self._server = _Server(partial(_exit_code, pid), ours)
            return
        ours.close()
        server.run(theirs, self._names)

    def prepare(self, environment: Mapping[str, str], group: int) -> None:
        """Set the environment and the process group of all processes. Call it before `start`."""
        self._environment, self._group = environment, group
        if self._server:
            self._server.prepare(environment, group)

    async def start(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> ForkedProcess:
        """Fork a process that executes the `main` of `module.__main__`.

        Its `environment` is in addition to that of all processes.
        Raises `HutchError` if no fork server can be started. Must not be cancelled.
        """
        request = {"start": [module, *arguments], "environment": environment or {}}
        async with self._starting:
            for _ in range(ATTEMPTS):
                self._server = self._server or self._spawn()
                if process := await self._server.fork(request, self._limit):
                    return process
                code, self._server = self._server.end(), None
        raise HutchError(
            f"no process can be forked (exit code {code}): "
            "'hutch up --no-fork' starts each by itself"
        )

    def end(self) -> None:
        """End the fork server; the processes must have ended."""
        if self._server:
            self._server.end()

    def _spawn(self) -> _Server:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [*PYTHON, SERVER, str(theirs.fileno()), *self._names],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                process_group=self._group,
            )
        server = _Server(process.wait, ours)
        server.prepare(self._environment, self._group)
        return server


class _Server:
    def __init__(self, wait: Callable[[], int], control: socket.socket) -> None:
        self._wait = wait
        self._control = control
        self.group = 0

    def prepare(self, environment: Mapping[str, str], group: int) -> None:
        self.group = group
        self.send({"group": group, "environment": environment})

    def send(self, request: Mapping[str, object], pipes: Sequence[int] = ()) -> None:
        with suppress(OSError):  # it has died: its processes notice that by themselves
            socket.send_fds(self._control, [json.dumps(request).encode() + b"\n"], pipes)

    async def fork(self, request: Mapping[str, object], limit: int) -> ForkedProcess | None:
        """Fork a process; returns None if the fork server has died."""
        async with _pipe(limit) as (stdout, output, first), _pipe(limit) as (status, _, second):
            self.send(request, [first, second])
        if pid := await status.readline():
            return ForkedProcess(int(pid), stdout, output, status, self)
        output.close()
        return None

    def end(self) -> int:
        """Wait for its end, which closing its control socket causes; returns its exit code."""
        self._control.close()
        return self._wait()


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@asynccontextmanager
async def _pipe(
    limit: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.BaseTransport, int]]:
    """A new pipe: its reader, the reader's transport, and its write end, closed by the context."""
    read, write = os.pipe()
    reader = asyncio.StreamReader(limit)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", buffering=0)
        )
        yield reader, transport, write
    finally:
        os.close(write)
