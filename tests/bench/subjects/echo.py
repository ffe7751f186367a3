"""The bare echo: `python -m tests.bench.subjects.echo QUEUE`, as fast as aio-pika makes it easily.

A quorum queue, persistent messages, each answer confirmed before its question is acked, many
under way at once: the durability that an agent's mailbox has, and nothing else.
"""

from __future__ import annotations

import asyncio
import signal
import sys

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from rich.console import Console

from shared.settings.environment import Settings

PREFETCH = 128
"""More than any round has under way."""


async def echo(url: str, queue: str) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        exchange = channel.default_exchange
        asked = await channel.declare_queue(
            queue, durable=True, arguments={"x-queue-type": "quorum"}
        )

        async def answer(message: AbstractIncomingMessage) -> None:
            reply = aio_pika.Message(
                message.body,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                correlation_id=message.correlation_id,
                message_id=message.message_id,
            )
            await exchange.publish(reply, message.reply_to or "")
            await message.ack()

        await asked.consume(answer)
        Console().print("consuming")
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(echo(Settings.from_environment().broker(), sys.argv[1]))
