"""A command's connection to the store, and queries that several commands use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeVar

from services.cli.places import store_place
from shared.client.system.store_fault import is_missing
from shared.errors import HutchError, StoreError
from shared.settings.environment import Settings
from shared.store import Store, open_store
from shared.store.messages import sent
from shared.store.processes.heartbeats import DEAD_AFTER_S
from shared.store.queries.reports import Row, owner_beat

RETRY_FOR_S = 5.0
"""How long a command waits for an unavailable store: a person waits for the command."""

POLL_S = 0.2

T = TypeVar("T")


@asynccontextmanager
async def opened_store(settings: Settings) -> AsyncIterator[Store]:
    """The store. Raises `StoreError`, which says which store it is.

    It names 'hutch migrate' if the store has no tables. A file that does not exist is not created.
    """
    if is_missing(settings):
        raise StoreError(
            f"no store yet: run 'hutch migrate' or 'hutch up'; looked for {store_place(settings)}"
        )
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(
                open_store(settings.store(), retry_for_s=RETRY_FOR_S)
            )
        except StoreError as error:
            raise type(error)(f"{error}; looked at {store_place(settings)}") from error
        yield store


async def polled(read: Callable[[], Awaitable[T | None]], within_s: float | None) -> T | None:
    """The first result of `read` that is not None; None after `within_s` seconds.

    A store reports no changes, so it is read again and again.
    """
    try:
        async with asyncio.timeout(within_s):
            while (found := await read()) is None:  # noqa: ASYNC110 - the store sets no event
                await asyncio.sleep(POLL_S)
            return found
    except TimeoutError:
        return None


async def record_sent(settings: Settings, message_id: str, receiver: str) -> str | None:
    """Record a message that a command has sent; returns why that was not possible, else None."""
    try:
        async with opened_store(settings) as store:
            await store.write("", partial(sent.record, message_id=message_id, receiver=receiver))
    except HutchError as error:
        return str(error)
    return None


async def has_dead_owner(store: Store, run_id: str) -> bool:
    """Whether the process that executes a run has died, and none has taken the run over.

    Takes up to 1 s if the process is alive, and up to 3 s if not.
    """
    read = partial(store.read, partial(owner_beat, run_id=run_id))
    first = await read()
    if first is None or first[1] is None:
        return first is not None

    async def moved() -> bool | None:
        return True if await read() != first else None

    return not await polled(moved, DEAD_AFTER_S)


def only_run(key: str, found: Sequence[Row], where: str = "") -> Row:
    """The one run that `key` means: a run's id, the beginning of one, or a task's id.

    `where` says which store was searched. Raises `HutchError` if `found` has no such run, or
    several.
    """
    exact = [row for row in found if row.run_id == key]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if not found:
        looked = f"; looked in {where}" if where else ""
        raise HutchError(f"no run and no task has the id '{key}': 'hutch runs' lists them{looked}")
    names = ", ".join(f"{row.run_id} ({row.agent})" for row in found)
    raise HutchError(f"'{key}' means more than one run; name one: {names}")
