"""Processes from the fork server, with the interface of asyncio's subprocesses."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from shared.errors import HutchError

PYTHON = (sys.executable, "-P", "-m")  # -P: the user's folder may have a package `shared`
END_S = 5.0
"""The time limit for the fork server's end, which takes milliseconds."""
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

    All have the same environment, and are in the process group `group`.
    """

    def __init__(
        self, environment: Mapping[str, str], group: int, names: Collection[str], limit: int
    ) -> None:
        """The fork server imports the modules `names`, and calls the functions `module:function`.
        `limit` is the length of the longest line, in bytes, that is read from a process."""
        self._environment = environment
        self._group = group
        self._names = names
        self._limit = limit
        self._server: _Server | None = None
        self._starting = asyncio.Lock()

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
                self._server = self._server or await self._serve()
                if process := await self._server.fork(request, self._limit):
                    return process
                code, self._server = await self._server.end(), None
        raise HutchError(
            f"no process can be forked (exit code {code}): "
            "'hutch up --no-fork' starts each by itself"
        )

    async def end(self) -> None:
        """End the fork server; the processes must have ended."""
        if self._server:
            await self._server.end()

    async def _serve(self) -> _Server:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(*PYTHON, "services.cli.forking.server", str(theirs.fileno()), *self._names),
                stdin=DEVNULL,
                stdout=DEVNULL,
                env=self._environment,
                pass_fds=[theirs.fileno()],
                process_group=self._group,
            )
        return _Server(process, ours, self._group)


class _Server:
    def __init__(self, process: Process, control: socket.socket, group: int) -> None:
        self._process = process
        self._control = control
        self.group = group

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

    async def end(self) -> int:
        """Returns its exit code. It ends by itself, as its control socket is closed."""
        self._control.close()
        try:
            async with asyncio.timeout(END_S):
                return await self._process.wait()
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


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
