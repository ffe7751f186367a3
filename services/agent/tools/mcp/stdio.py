"""The transport to a server that is a process of ours: lines on its standard input and output.

The SDK's own reads lines of any length, and lets a server outlive an agent that is killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import structlog
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

from services.agent.tools.mcp.bounds import MOST_MESSAGE_BYTES, McpLink, one_line
from shared.definitions.mcp import McpServer
from shared.process.orphans import orphan_cleanup
from shared.settings.child_environment import child_environment
from shared.telemetry.logs import masked_text

log = structlog.get_logger()

END_S = 1.0
"""The time that a server has to end by itself once its input is closed."""
KILL_GROUP = "trap '' TERM; kill 0; sleep 2; kill -9 0"
"""Ends the server's process group after this process was killed."""
KEPT_STDERR_CHARS = 2_000
"""The characters of a server's standard error that are kept, to be logged when it dies."""


@asynccontextmanager
async def process_transport(
    server: McpServer, folder: Path, link: McpLink
) -> AsyncIterator[TransportStreams]:
    """Start a server in a process group of its own, which ends with this context, or with this
    process. Raises `SettingsError` for a missing variable, `OSError` if it can't be started."""
    environment = child_environment(server.env)
    with orphan_cleanup(KILL_GROUP) as group:
        process = await asyncio.create_subprocess_exec(
            *(server.command or ()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=folder,
            limit=MOST_MESSAGE_BYTES,
            process_group=group,
        )
        try:
            async with _Pipes(process, server.name, link).open() as streams:
                yield streams
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await _ended(process)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
                try:
                    await _ended(process)
                finally:
                    # It would stay open while a process outside the group has one of its pipes.
                    process._transport.close()  # type: ignore[attr-defined]  # as the SDK does


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for the process's end, at most `END_S`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await process.wait()


class _Pipes:
    def __init__(self, process: asyncio.subprocess.Process, name: str, link: McpLink) -> None:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._input, self._output, self._errors = process.stdin, process.stdout, process.stderr
        self._name = name
        self._link = link
        self._stderr = ""
        link.detail = lambda: self._stderr

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TransportStreams]:
        incoming, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sent, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
        async with incoming, received, sent, outgoing, anyio.create_task_group() as jobs:

            async def read() -> None:
                async with incoming:
                    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                        async for message in self._messages():
                            await incoming.send(message)

            async def write() -> None:
                async for message in outgoing:
                    body = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    try:
                        self._input.write(body.encode() + b"\n")
                        await self._input.drain()
                    except OSError:
                        self._link.break_off("does not read")
                        return

            for job in (read, write, self._keep_stderr):
                jobs.start_soon(job)
            try:
                yield received, sent
            finally:
                jobs.cancel_scope.cancel()

    async def _messages(self) -> AsyncIterator[SessionMessage]:
        """The server's messages until it ends or sends too much."""
        foreign = 0
        while True:
            try:
                line = await self._output.readline()
            except ValueError:
                most = MOST_MESSAGE_BYTES >> 20
                self._link.break_off(f"has sent a message of more than {most} MiB")
                return
            if not line:
                self._link.break_off("has ended")
                return
            if not self._link.receive(len(line)):
                return
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:  # some servers print other things, against the protocol
                foreign += bool(line.strip())
                if foreign == 1:
                    log.warning("an MCP server prints lines that are no messages", mcp=self._name)
                continue
            yield SessionMessage(message)

    async def _keep_stderr(self) -> None:
        while part := await self._errors.read(KEPT_STDERR_CHARS):
            text = self._stderr + part.decode("utf-8", "replace")
            self._stderr = text[-KEPT_STDERR_CHARS:]


def last_error_line(link: McpLink) -> str | None:
    """The last line that the server has written to its standard error, without secrets."""
    lines = link.detail().strip().splitlines()
    return masked_text(one_line(lines[-1], 300)) if lines else None
