"""DBOS as a subject: its process, and the connection that starts its rounds."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.bench.load import PATIENCE_S, Figures, Load
from tests.support.processes.running import Child, System

NAME = "DBOS (PostgreSQL)"
MISSING = "no row for DBOS: it is not installed, see requirements-bench.lock"


@dataclass(frozen=True)
class Dbos:
    """Stopped between its rounds: its queue polls a hundred times a second."""

    child: Child
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    name: str = NAME

    async def round(self, load: Load, lasts_s: float, at_once: int) -> Figures:
        self.child.process.send_signal(signal.SIGCONT)
        self.writer.write(f"{lasts_s} {at_once}\n".encode())
        async with asyncio.timeout(lasts_s + PATIENCE_S):
            found = Figures(**json.loads(await self.reader.readline()))
        self.child.process.send_signal(signal.SIGSTOP)
        return found


def installed() -> bool:
    return importlib.util.find_spec("dbos") is not None


@asynccontextmanager
async def dbos(system: System, postgresql: str) -> AsyncIterator[Dbos]:
    """On an empty database."""
    child = system.start("tests.bench.subjects.dbos_queue", HUTCH_STORE=postgresql)
    try:
        served = await asyncio.to_thread(child.wait_for, r"serving (\d+)", PATIENCE_S)
        yield Dbos(child, *await asyncio.open_connection("127.0.0.1", int(served[1])))
    finally:
        child.kill()
