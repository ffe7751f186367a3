from __future__ import annotations

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable

from shared.broker.connection import Broker
from tests.support.brokers.rabbitmq import Rabbit

PATIENCE_S = 30.0
POLL_S = 0.02


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], timeout_s: float = PATIENCE_S
) -> None:
    """Return once the condition holds; `TimeoutError` when it never does."""
    async with asyncio.timeout(timeout_s):
        while True:
            answer = condition()
            if (await answer) if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(POLL_S)


async def lose_connections(rabbit: Rabbit, broker: Broker) -> None:
    """Return once both connections were closed by the broker and are back."""
    before = await asyncio.to_thread(rabbit.connections)
    await asyncio.to_thread(rabbit.close_connections)

    async def back() -> bool:
        now = await asyncio.to_thread(rabbit.connections)
        return broker.connected and len(now) == 2 and now.isdisjoint(before)

    await until(back)


def free_port() -> int:
    """A port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return int(holder.getsockname()[1])
