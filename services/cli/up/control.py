"""Commands for the 'hutch up' processes of a folder. Each has a Unix socket in `.hutch/up`.

A client sends a line and gets a line. The answer is empty if this 'hutch up' does not run the agent
that the command names. The connection of the command `end` stays open until the process has ended.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services.cli import output
from shared.errors import HutchError

Handle = Callable[[list[str]], Awaitable[str]]
"""Executes a command, given by its words, and returns the answer. A `HutchError` is an answer too:
the client raises it."""
END = "end"
FAILED = "failed: "


@asynccontextmanager
async def served(home: Path, handle: Handle) -> AsyncIterator[None]:
    """Take commands while the context lasts. A connection that waits for the end stays open."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = (await reader.readline()).decode().split()
        try:
            text = await handle(words)
        except HutchError as error:
            text = f"{FAILED}{error}"
        writer.write(text.replace("\n", "; ").encode() + b"\n")
        writer.close()

    file = home / "up" / f"{os.getpid()}.sock"
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = await asyncio.start_unix_server(answer, file)
    except OSError as error:  # a folder that can't be written, or a disk without sockets
        output.remark(f"'hutch restart', 'scale' and 'down' do not work here: {error}")
        yield
        return
    try:
        yield
    finally:
        server.close()
        file.unlink(missing_ok=True)


async def answers(home: Path, *command: str) -> AsyncIterator[str]:
    """The answers of all 'hutch up' processes that run what the command names, one by one.

    Raises `HutchError` if one of them could not execute it.
    """
    for file in _sockets(home):
        text = await _ask(file, *command)
        if text.startswith(FAILED):
            raise HutchError(text.removeprefix(FAILED))
        if text:
            yield text


async def end_others(home: Path) -> int:
    """End all other 'hutch up' processes; returns how many, when they have ended."""
    ended = await asyncio.gather(*(_ask(file, END, absent="absent") for file in _sockets(home)))
    return len(ended) - ended.count("absent")


def _sockets(home: Path) -> list[Path]:
    own = f"{os.getpid()}.sock"
    return sorted(file for file in (home / "up").glob("*.sock") if file.name != own)


async def _ask(file: Path, *command: str, absent: str = "") -> str:
    try:
        reader, writer = await asyncio.open_unix_connection(file)
    except (ConnectionRefusedError, FileNotFoundError):  # that of a killed process
        file.unlink(missing_ok=True)  # noqa: ASYNC240 - takes microseconds
        return absent
    try:
        writer.write(" ".join(command).encode() + b"\n")
        return (await reader.readline()).decode().strip()
    except ConnectionError:
        return ""
    finally:
        writer.close()
