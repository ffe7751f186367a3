"""From a model's first byte to a subscriber of the broker: `python -m tests.bench.first_token`.

One agent on SQLite, and an endpoint that streams 50 words in a second; with 1 and with 32 runs at
once. Nothing else should run beside it.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import aiormq
from aiormq.abc import AbstractChannel, DeliveredMessage
from pamqp.commands import Basic
from rich.console import Console

from shared.contract.topology import STREAM, TASKS
from tests.bench.load import PATIENCE_S
from tests.bench.subjects.agents import define, new_store
from tests.support.brokers.rabbitmq import container, vhost
from tests.support.processes import running

AGENT = "streamer"
RUNS = 200
WARM_UP = 32
AT_ONCE = (1, 32)
say = Console(highlight=False).print


@dataclass
class Subscriber:
    """Receives all texts. `first` is, for each root, how late its first part was, in seconds."""

    channel: AbstractChannel
    first: dict[str, float] = field(default_factory=dict)
    parts: int = 0
    ended: dict[str, asyncio.Event] = field(default_factory=dict)

    def receive(self, message: DeliveredMessage) -> None:
        now, part = time.monotonic(), json.loads(message.body)
        self.parts += 1
        if part["sequence"] == 0:
            sent = float(part["text"].split()[0])
            self.first[message.routing_key or ""] = now - sent

    async def ask(self) -> None:
        """Returns once the response has come."""
        task, ended = uuid4().hex, asyncio.Event()
        self.ended[task] = ended
        body = json.dumps({"id": task, "content": "Talk.", "stream": True}).encode()
        properties = Basic.Properties(
            message_id=task, correlation_id=task, reply_to="amq.rabbitmq.reply-to"
        )
        await self.channel.basic_publish(
            body, exchange=TASKS, routing_key=AGENT, properties=properties
        )
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()

    def answered(self, message: DeliveredMessage) -> None:
        self.ended.pop(message.header.properties.correlation_id or "").set()


@asynccontextmanager
async def subscriber(url: str) -> AsyncIterator[Subscriber]:
    connection = await aiormq.connect(url)
    try:
        channel, publishing = await connection.channel(), await connection.channel()
        it = Subscriber(publishing)

        async def receive(message: DeliveredMessage) -> None:
            it.receive(message)

        async def answered(message: DeliveredMessage) -> None:
            it.answered(message)

        queue = (await channel.queue_declare("", exclusive=True)).queue or ""
        await channel.queue_bind(queue, STREAM, "#")
        await channel.basic_consume(queue, receive, no_ack=True)
        await publishing.basic_consume("amq.rabbitmq.reply-to", answered, no_ack=True)
        yield it
    finally:
        await connection.close()


async def measured(url: str, runs: int, at_once: int) -> tuple[list[float], float]:
    """How late the first parts were, in seconds, and the number of parts of a run."""
    async with subscriber(url) as it:
        left = iter(range(runs))

        async def asker() -> None:
            for _ in left:
                await it.ask()

        await asyncio.gather(*(asker() for _ in range(at_once)))
        return list(it.first.values()), it.parts / runs


def main() -> None:
    with tempfile.TemporaryDirectory() as name, container() as server, vhost(server) as rabbit:
        folder = Path(name)
        (folder / "agents").mkdir()
        with running.system(rabbit.url, folder, folder / "agents") as system:
            define(system, AGENT, foreign_clients=True)
            system.env["HUTCH_STORE"] = new_store(system, "sqlite")
            served = system.start("tests.support.model.streaming").wait_for(r"serving (\S+)")
            system.env["OPENAI_BASE_URL"] = served[1]
            system.agents(AGENT)
            asyncio.run(measured(rabbit.url, WARM_UP, WARM_UP))
            for at_once in AT_ONCE:
                late, parts = asyncio.run(measured(rabbit.url, RUNS, at_once))
                cuts = statistics.quantiles(late, n=100, method="inclusive")
                say(
                    f"{at_once} at once, {len(late)} of {RUNS} runs: "
                    f"p50 {cuts[49] * 1000:.1f} ms, p95 {cuts[94] * 1000:.1f} ms; "
                    f"{parts:.0f} parts a run; load average {os.getloadavg()[0]:.1f}"
                )


if __name__ == "__main__":
    main()
