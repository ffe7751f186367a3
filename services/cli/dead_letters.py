"""The dead letters, for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from services.cli import output
from services.cli.broker import opened_broker
from services.cli.store import opened_store
from shared.broker.connection import Broker
from shared.client.dead_letters.selection import Held, holding
from shared.errors import StoreError
from shared.settings.environment import Settings
from shared.store import Store


@asynccontextmanager
async def opened(
    settings: Settings,
) -> AsyncIterator[tuple[Broker, Store | None, Sequence[Held]]]:
    """All dead letters, see `holding`. If the store can't be read, a remark is printed, the store
    is None, and only the queue is read."""
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(opened_broker(settings))
        store = await _readable_store(stack, settings)
        yield broker, store, await stack.enter_async_context(holding(broker, store))


async def all_of(settings: Settings) -> Sequence[Held]:
    """All dead letters, for reading only."""
    async with opened(settings) as (_, __, found):
        return found


async def _readable_store(stack: AsyncExitStack, settings: Settings) -> Store | None:
    try:
        return await stack.enter_async_context(opened_store(settings))
    except StoreError as error:
        output.remark(f"without the dead letters that the store keeps: {error}")
        return None
