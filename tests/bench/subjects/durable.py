"""DBOS as a subject: its process, and the connection that starts its rounds."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from dataclasses import dataclass

from tests.bench.load import PATIENCE_S, Figures, Load
from tests.support.processes.running import System

MISSING = "no row for DBOS: it is not installed, see requirements-bench.lock"


@dataclass(frozen=True)
class Dbos:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    name: str = "DBOS (PostgreSQL)"

    async def round(self, load: Load, lasts_s: float, at_once: int) -> Figures:
        self.writer.write(f"{lasts_s} {at_once}\n".encode())
        async with asyncio.timeout(lasts_s + PATIENCE_S):
            return Figures(**json.loads(await self.reader.readline()))


def installed() -> bool:
    return importlib.util.find_spec("dbos") is not None


async def dbos(system: System, postgresql: str) -> Dbos:
    """Its process ends with the system's others."""
    child = system.start("tests.bench.subjects.dbos_queue", HUTCH_STORE=postgresql)
    served = await asyncio.to_thread(child.wait_for, r"serving (\d+)", PATIENCE_S)
    return Dbos(*await asyncio.open_connection("127.0.0.1", int(served[1])))
