"""The load: so many askers at once, each with one question under way.

The same for an agent and for the echo: persistent questions, confirmed, and answers from a
quorum queue, each acked.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aiormq
import psutil
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic

from shared.contract.topology import REPLIES

PATIENCE_S = 180.0
"""A hundred agents may load their model's client before they answer."""
PERSISTENT = 2


@dataclass(frozen=True)
class Figures:
    """One round: tasks, answers a second, latencies, and the answering process's CPU per task."""

    tasks: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


@dataclass
class Load:
    channel: AbstractChannel
    queue: str
    _waiting: dict[str, asyncio.Future[float]] = field(default_factory=dict)

    async def ask(self, exchange: str, key: str, **fields: object) -> float:
        """Seconds until the answer was here. `fields` are more of the task's."""
        task = uuid4().hex
        reply: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[task] = reply
        content = "Sum up what the office has done today."
        body = json.dumps({"id": task, "content": content, **fields})
        properties = Basic.Properties(
            content_type="application/json",
            correlation_id=task,
            delivery_mode=PERSISTENT,
            message_id=task,
            reply_to=self.queue,
        )
        began = time.perf_counter()
        await self.channel.basic_publish(
            body.encode(), exchange=exchange, routing_key=key, properties=properties
        )
        async with asyncio.timeout(PATIENCE_S):
            return await reply - began

    async def answered(self, message: DeliveredMessage) -> None:
        reply = self._waiting.pop(message.header.properties.correlation_id or "")
        reply.set_result(time.perf_counter())
        await message.channel.basic_ack(message.delivery_tag or 0)

    async def asked(
        self, exchange: str, key: str, tasks: Iterable[object], at_once: int, **fields: object
    ) -> list[float]:
        """Every latency, in seconds. `tasks` yields once for each task: a range, or `lasting`."""
        left = iter(tasks)  # the askers share it

        async def asker() -> list[float]:
            return [await self.ask(exchange, key, **fields) for _ in left]

        rounds = await asyncio.gather(*(asker() for _ in range(at_once)))
        return [latency for latencies in rounds for latency in latencies]

    async def measured(
        self, process: psutil.Process, exchange: str, key: str, lasts_s: float, at_once: int
    ) -> Figures:
        cpu_s, began = used_s(process), time.perf_counter()
        latencies = await self.asked(exchange, key, lasting(lasts_s, at_once), at_once)
        return figures(latencies, time.perf_counter() - began, used_s(process) - cpu_s)


def figures(latencies: Sequence[float], took_s: float, cpu_s: float) -> Figures:
    tasks = len(latencies)
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return Figures(
        tasks, tasks / took_s, cuts[49] * 1000, cuts[98] * 1000, cpu_ms=cpu_s / tasks * 1000
    )


def lasting(seconds: float, at_once: int) -> Iterator[None]:
    """Yields until this time has passed and each asker has had some tasks, but three times as long
    at most: the first and the last tasks, which meet less load, must be few."""
    began = time.perf_counter()
    for task in itertools.count():
        took_s = time.perf_counter() - began
        if task > at_once and took_s > (seconds if task > 5 * at_once else 3 * seconds):
            return
        yield


def used_s(process: psutil.Process) -> float:
    """CPU of all its threads, by Linux's clock of that process: /proc counts in steps of 10 ms."""
    return time.clock_gettime((~process.pid << 3) | 2)


@asynccontextmanager
async def load(url: str) -> AsyncIterator[Load]:
    connection = await aiormq.connect(url)
    try:
        publishing, consuming = await connection.channel(), await connection.channel()
        queue = f"reply.bench.{uuid4().hex[:8]}"
        await consuming.exchange_declare(REPLIES, exchange_type="direct", durable=True)
        await consuming.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})
        await consuming.queue_bind(queue, REPLIES, queue)
        asking = Load(publishing, queue)
        await consuming.basic_consume(queue, asking.answered)
        yield asking
    finally:
        await connection.close()


@asynccontextmanager
async def listening(
    url: str, exchange: str, key: str
) -> AsyncIterator[asyncio.Queue[tuple[float, dict[str, Any]]]]:
    """Each message that is published there: when it came, by the monotonic clock, and its body."""
    connection = await aiormq.connect(url)
    try:
        channel = await connection.channel()
        queue = (await channel.queue_declare("", exclusive=True)).queue or ""
        await channel.queue_bind(queue, exchange, key)
        heard: asyncio.Queue[tuple[float, dict[str, Any]]] = asyncio.Queue()

        async def hear(message: DeliveredMessage) -> None:
            heard.put_nowait((time.monotonic(), json.loads(message.body)))

        await channel.basic_consume(queue, hear, no_ack=True)
        yield heard
    finally:
        await connection.close()
