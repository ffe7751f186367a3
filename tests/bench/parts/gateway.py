"""The gateway: a task over HTTP beside one over AMQP, the first text, many streams, long lists."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import psutil

from shared.contract.topology import STREAM
from shared.store import open_store
from shared.store.database.migrate import migrate
from tests.bench.load import Load, listening, load, used_s
from tests.bench.parts.stored_runs import MANY
from tests.bench.rig import Found, Rig, Row
from tests.bench.rounds import Process
from tests.bench.subjects.agents import define, endpoint, new_store, real
from tests.support import gateway
from tests.support.gateway import Stream
from tests.support.processes.running import System
from tests.support.stores.many import fill

TASKS = 50
"""In each round, one after the other: so many over AMQP, then as many over HTTP."""
CONTENT = "Sum up what the office has done today."
RUNS = {1: 30, 32: 200}
"""Streamed, by their number at once."""
STREAMS = 200
IDLE_S = 5.0
LISTS = 100
PAGES = {"the newest": "/api/runs", "the failed ones": "/api/runs?status=failed"}
MB = 1024**2


@dataclass(frozen=True)
class Gateway:
    process: psutil.Process
    address: str

    def pss_mb(self) -> float:
        return float(self.process.memory_full_info().pss) / MB


def measure(rig: Rig) -> Found:
    with rig.system() as system, rig.postgresql.database() as postgresql:
        asyncio.run(migrate(postgresql))
        define(system, "alice")
        urls = {"SQLite": new_store(system, "many"), "PostgreSQL": postgresql}
        lists = [
            row for name, url in urls.items() for row in asyncio.run(_lists(system, name, url))
        ]
    with rig.system() as system:
        asked = _asked(rig, system)
    with rig.system() as system:
        streamed = _streamed(system)
    return Found([*asked, *streamed, *lists])


def _gateway(system: System, store: str) -> Gateway:
    child, address = gateway.gateway(system, HUTCH_STORE=store)
    return Gateway(psutil.Process(child.process.pid), address)


def _asked(rig: Rig, system: System) -> list[Row]:
    endpoint(system)
    define(system, "asked")
    store = new_store(system, "asked")
    agent, door = real(system, "asked", store), _gateway(system, store)
    amqp, http, cpu_ms = asyncio.run(_rounds(rig, system, agent, door))
    ratio = statistics.median(theirs / ours for ours, theirs in zip(amqp, http, strict=True))
    more_ms = statistics.median(theirs - ours for ours, theirs in zip(amqp, http, strict=True))
    return [
        Row(
            "a task over HTTP (`wait`) beside one over AMQP, one at a time: p50",
            f"{ratio:.1f} times, +{more_ms * 1000:.1f} ms",
        ),
        Row("the same: the gateway's CPU a task", f"{cpu_ms:.1f} ms"),
    ]


async def _rounds(
    rig: Rig, system: System, agent: Process, door: Gateway
) -> tuple[list[float], list[float], float]:
    """The medians of each round in seconds, over AMQP and over HTTP, and the gateway's CPU."""
    amqp, http, cpu_s = [], [], []
    async with load(system.env["RABBITMQ_URL"]) as asking, gateway.client(door.address) as client:
        await _over_amqp(asking, agent)
        await _over_http(client)
        for _ in rig.rounds():
            amqp.append(await _over_amqp(asking, agent))
            began_s = used_s(door.process)
            http.append(await _over_http(client))
            cpu_s.append((used_s(door.process) - began_s) / TASKS)
    return amqp, http, statistics.median(cpu_s) * 1000


async def _over_amqp(asking: Load, agent: Process) -> float:
    return statistics.median(await asking.asked(agent.exchange, agent.key, range(TASKS), 1))


async def _over_http(client: httpx2.AsyncClient) -> float:
    lasted = []
    for _ in range(TASKS):
        began = time.perf_counter()
        new = {"agent": "asked", "content": CONTENT, "wait": 60}
        response = await client.post("/api/tasks", json=new)
        lasted.append(time.perf_counter() - began)
        assert response.status_code == 200, response.text
    return statistics.median(lasted)


def _streamed(system: System) -> list[Row]:
    define(system, "streamer")
    served = system.start("tests.support.model.streaming").wait_for(r"serving (\S+)")
    system.env["OPENAI_BASE_URL"] = served[1]
    store = new_store(system, "streamer")
    real(system, "streamer", store)
    door = _gateway(system, store)
    return asyncio.run(_first_texts(system, door)) + asyncio.run(_many(door))


async def _first_texts(system: System, door: Gateway) -> list[Row]:
    rows = []
    async with listening(system.env["RABBITMQ_URL"], STREAM, "#") as heard:
        for at_once, count in RUNS.items():
            await _late(door, at_once, at_once)
            while not heard.empty():
                heard.get_nowait()
            http = await _late(door, at_once, count)
            parts = [heard.get_nowait() for _ in range(heard.qsize())]
            amqp = [_after(at, part["text"]) for at, part in parts if part["sequence"] == 0]
            what = f"from the model's first byte to a client of the gateway, {at_once} at once"
            rows.append(
                Row(f"{what}: p50; p95; of a subscriber's", f"{_cuts(http)}; {_cuts(amqp)}")
            )
    return rows


def _after(at: float, text: str) -> float:
    """The first word is the time at which the model has sent it."""
    return at - float(text.split()[0])


def _cuts(late_s: Sequence[float]) -> str:
    cuts = statistics.quantiles(late_s, n=100, method="inclusive")
    return f"{cuts[49] * 1000:.0f} ms; {cuts[94] * 1000:.0f} ms"


async def _late(door: Gateway, at_once: int, count: int) -> list[float]:
    """How late the first text of each task was, in seconds."""
    left = iter(range(count))

    async def asker(client: httpx2.AsyncClient) -> list[float]:
        return [await _first_text(client) for _ in left]

    async with gateway.client(door.address) as client:
        found = await asyncio.gather(*(asker(client) for _ in range(at_once)))
    return [late for lates in found for late in lates]


async def _first_text(client: httpx2.AsyncClient) -> float:
    """Follows the task to its end. A piece that was lost counts when it is repeated."""
    late: list[float] = []
    async with _asking(client) as events:
        async for event in events:
            if event.name == "text" and not late and event.data["text"][0].isdigit():
                late.append(_after(time.monotonic(), event.data["text"]))
    return late[0]


@asynccontextmanager
async def _asking(client: httpx2.AsyncClient) -> AsyncIterator[Stream]:
    new = {"agent": "streamer", "content": CONTENT, "stream": True}
    accept = {"Accept": "text/event-stream"}
    async with client.stream("POST", "/api/tasks", json=new, headers=accept) as response:
        assert response.status_code == 200, await response.aread()
        yield Stream(response)


async def _many(door: Gateway) -> list[Row]:
    """So many streams at once: idle ones, and ones that follow a task each."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=door.address, timeout=None, limits=limits) as client:
        before_mb = door.pss_mb()
        idle_cpu, idle_mb = await _idle(door, client)
        began_s, began = used_s(door.process), time.monotonic()
        sizes = [door.pss_mb()]
        async with asyncio.TaskGroup() as jobs:
            following = [jobs.create_task(_first_text(client)) for _ in range(STREAMS)]
            while not all(job.done() for job in following):
                await asyncio.sleep(0.2)
                sizes.append(door.pss_mb())
        used, lasted = used_s(door.process) - began_s, time.monotonic() - began
    return [
        Row(
            f"{STREAMS} idle streams of events on one gateway: its CPU; its memory without; with",
            f"{idle_cpu:.1%} of a core; {before_mb:.0f} MB; {idle_mb:.0f} MB",
        ),
        Row(
            f"{STREAMS} streams of a task with 50 pieces of text each: its CPU a stream; in all; "
            "its memory at most",
            f"{used / STREAMS * 1000:.0f} ms; {used / lasted:.0%} of a core for {lasted:.0f} s; "
            f"{max(sizes):.0f} MB",
        ),
    ]


async def _idle(door: Gateway, client: httpx2.AsyncClient) -> tuple[float, float]:
    """The part of a core that the gateway uses, and its memory."""
    opened = asyncio.Semaphore(0)
    closing = asyncio.Event()

    async def hold() -> None:
        async with client.stream("GET", "/api/events"):
            opened.release()
            await closing.wait()

    async with asyncio.TaskGroup() as jobs:
        for _ in range(STREAMS):
            jobs.create_task(hold())
        for _ in range(STREAMS):
            await opened.acquire()
        began_s = used_s(door.process)
        await asyncio.sleep(IDLE_S)
        cpu, size_mb = (used_s(door.process) - began_s) / IDLE_S, door.pss_mb()
        closing.set()
    return cpu, size_mb


async def _lists(system: System, name: str, url: str) -> list[Row]:
    async with open_store(url) as store:
        await store.write("", lambda connection: fill(connection, MANY))
    door = _gateway(system, url)
    rows = []
    async with gateway.client(door.address) as client:
        for what, path in PAGES.items():
            lasted = await _requested(client, path)
            rows.append(
                Row(
                    f"the list of {MANY:,} runs, {what}, {name}: p50; p95",
                    _cuts(lasted),
                )
            )
    return rows


async def _requested(client: httpx2.AsyncClient, path: str) -> list[float]:
    lasted = []
    for _ in range(LISTS):
        began = time.perf_counter()
        response = await client.get(path)
        lasted.append(time.perf_counter() - began)
        assert response.status_code == 200, response.text
    return lasted
