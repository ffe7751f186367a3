"""DBOS with the same work as an agent: `python -m tests.bench.subjects.dbos_queue`.

A task is enqueued, its workflow has one step, and its result is read, all in the PostgreSQL of
HUTCH_STORE. Client and worker are one process. Its waits and the queue poll as often as was fastest
of what we tried; two processes, or `async` functions, were not faster.

A client of its port sends lines `SECONDS AT_ONCE`, and gets each round's figures as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import asdict

from dbos import DBOS, DBOSConfig
from rich.console import Console

from tests.bench.load import Figures, figures, lasting

QUEUE = "bench"
POLL_S = 0.01


def answer(content: str) -> str:
    return "Done."


STEP = DBOS.step()(answer)


def run(content: str) -> str:
    return str(STEP(content))


async def measured(lasts_s: float, at_once: int) -> Figures:
    left = lasting(lasts_s, at_once)
    cpu_s, began = time.process_time(), time.perf_counter()

    async def asker() -> list[float]:
        return [await ask() for _ in left]

    rounds = await asyncio.gather(*(asker() for _ in range(at_once)))
    latencies = [latency for found in rounds for latency in found]
    return figures(latencies, time.perf_counter() - began, time.process_time() - cpu_s)


async def ask() -> float:
    began = time.perf_counter()
    content = "Sum up what the office has done today."
    handle = await DBOS.enqueue_workflow_async(QUEUE, WORKFLOW, content)
    assert await handle.get_result(polling_interval_sec=POLL_S) == answer(content)
    return time.perf_counter() - began


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        lasts_s, at_once = line.split()
        found = await measured(float(lasts_s), int(at_once))
        writer.write(json.dumps(asdict(found)).encode() + b"\n")
    writer.close()


async def main(url: str) -> None:
    DBOS(config=DBOSConfig(name="bench", system_database_url=url, log_level="ERROR"))
    DBOS.launch()
    await DBOS.register_queue_async(QUEUE, polling_interval_sec=POLL_S)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    Console().print(f"serving {server.sockets[0].getsockname()[1]}")
    async with server:
        await server.serve_forever()


WORKFLOW = DBOS.workflow()(run)

if __name__ == "__main__":
    asyncio.run(main(os.environ["HUTCH_STORE"]))
