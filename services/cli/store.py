"""The store as a command uses it, and how many processes are alive by their beats."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AbstractAsyncContextManager

from shared.settings.environment import Settings
from shared.store import Store, open_store
from shared.store.processes.heartbeats import SILENCE_S
from shared.store.queries.reports import heartbeats

PATIENCE_S = 5.0
"""A person waits: a store that is away this long is told."""

LOOK_S = 0.2


def opened_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Raises `StoreError`, with the command to run when it was never migrated."""
    return open_store(settings.store(), patience_s=PATIENCE_S)


async def count_replicas(store: Store) -> Counter[str]:
    """Processes by agent whose beat was seen to move; takes up to 3 s where one is dead."""
    first = {beat.instance: beat.count for beat in await store.read(heartbeats)}
    looks = round(SILENCE_S / LOOK_S)
    moved: dict[str, str] = {}
    while looks and set(first) - set(moved):
        await asyncio.sleep(LOOK_S)
        now = await store.read(heartbeats)
        moved |= {it.instance: it.agent for it in now if it.count != first.get(it.instance)}
        gone = set(first) - {it.instance for it in now}
        first = {instance: count for instance, count in first.items() if instance not in gone}
        looks -= 1
    return Counter(moved.values())
