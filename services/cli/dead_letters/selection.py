"""The dead letters in the queue and in the store, and the selection of them for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from services.cli import output
from services.cli.broker import opened_broker
from services.cli.store import opened_store
from shared.broker.connection import Broker
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import PREFIX, DeadLetter, from_store, read
from shared.contract.content_hash import content_hash
from shared.contract.messages import Task, Trigger, decode, run_id
from shared.contract.topology import DEAD_QUEUE, mailbox_name
from shared.errors import BadMessage, HutchError, SettingsError, StoreError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.messages import dead_letters
from shared.store.messages.dead_letters import KnownRun


@dataclass(frozen=True)
class Held:
    """A dead letter and where it is; `remove` deletes it there, or raises `HutchError`."""

    dead_letter: DeadLetter
    place: Literal["queue", "store"]
    remove: Callable[[], Awaitable[None]]
    ran: str | None = None
    """The status of its task's run, if the broker gave up a message that had been claimed."""

    @property
    def reason(self) -> str:
        if self.ran is None:
            return self.dead_letter.last.reason
        return f"not a dead letter: its task has a run ({self.ran}), only its ack was lost"


@dataclass(frozen=True)
class Choice:
    """Selects one dead letter by its id, those of an agent or with a reason, or all."""

    id: str | None = None
    agent: str | None = None
    reason: str | None = None
    every: bool = False

    def __post_init__(self) -> None:
        filtered = self.agent is not None or self.reason is not None
        if self.id is None and not filtered and not self.every:
            raise SettingsError("which dead letters? name one, or give --agent, --reason or --all")
        if self.id is not None and (filtered or self.every):
            raise SettingsError("give either an id, or --agent, --reason or --all, not both")

    def of(self, held: Sequence[Held]) -> Sequence[Held]:
        """The selected ones. Raises `HutchError` if an id means none of them, or several."""
        if self.id is not None:
            return _only(self.id, held)
        return [it for it in held if self._has(it)]

    def _has(self, it: Held) -> bool:
        of_agent = self.agent is None or it.dead_letter.agent == self.agent
        wanted = (self.reason or "").casefold()
        return of_agent and wanted in it.dead_letter.last.reason.casefold()


@asynccontextmanager
async def opened(
    settings: Settings,
) -> AsyncIterator[tuple[Broker, Store | None, Sequence[Held]]]:
    """The dead letters of the queue and then those of the store, each the oldest first.

    They stay where they are until `Held.remove`. If the store can't be read, a remark is printed,
    the store is None, and only the queue is read.
    """
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(opened_broker(settings))
        store = await _readable_store(stack, settings)
        yield broker, store, await stack.enter_async_context(holding(broker, store))


@asynccontextmanager
async def holding(broker: Broker, store: Store | None) -> AsyncIterator[Sequence[Held]]:
    """The dead letters of the queue and the store, as `opened` has them."""
    async with broker.browse(DEAD_QUEUE) as deliveries:
        held = [_in_queue(delivery) for delivery in deliveries]
        if store is not None:
            stored = await store.read(dead_letters.stored)
            held += [_in_store(store, from_store(it)) for it in stored]
            held = await _with_runs(store, held)
        yield held


async def all_of(settings: Settings) -> Sequence[Held]:
    """All dead letters, for reading only."""
    async with opened(settings) as (_, __, found):
        return found


async def drop(settings: Settings, ids: Collection[str]) -> int:
    """Delete these dead letters; returns the number of those that still existed."""
    async with opened(settings) as (_, __, found):
        chosen = [it for it in found if it.dead_letter.id in ids]
        for it in chosen:
            await it.remove()
    return len({it.dead_letter.id for it in chosen})


async def _readable_store(stack: AsyncExitStack, settings: Settings) -> Store | None:
    try:
        return await stack.enter_async_context(opened_store(settings))
    except StoreError as error:
        output.remark(f"without the dead letters that the store keeps: {error}")
        return None


def _in_queue(delivery: Delivery) -> Held:
    async def remove() -> None:
        if not await delivery.ack():
            raise HutchError(
                "the connection was lost: some dead letters are still there; try again"
            )

    return Held(read(delivery), "queue", remove)


def _in_store(store: Store, dead_letter: DeadLetter) -> Held:
    async def remove() -> None:
        await store.write("", partial(dead_letters.remove, ids=[PREFIX + dead_letter.id]))

    return Held(dead_letter, "store", remove)


async def _with_runs(store: Store, held: Sequence[Held]) -> list[Held]:
    """The dead letters, with the status of its run for each message that the broker gave up.

    The broker counts a lost connection as a failed delivery, also if the task was claimed.
    """
    tasks = {index: task for index, it in enumerate(held) if (task := _task(it.dead_letter))}
    ids = {
        index: run_id(held[index].dead_letter.agent, task.id or "") for index, task in tasks.items()
    }
    runs = (
        await store.read(partial(dead_letters.known_runs, run_ids=list(ids.values())))
        if ids
        else {}
    )
    found = list(held)
    for index, task in tasks.items():
        run: KnownRun | None = runs.get(ids[index])
        if run is not None and run.content_hash == content_hash(task):
            it = held[index]
            found[index] = Held(it.dead_letter, it.place, it.remove, run.status)
    return found


def _task(dead_letter: DeadLetter) -> Task | Trigger | None:
    """The task or trigger that the broker gave up, with its id at the claim; None if it is none."""
    if not dead_letter.by_broker or dead_letter.queue != mailbox_name(dead_letter.agent):
        return None
    try:
        message = decode(dead_letter.body, dead_letter.content_type)
    except BadMessage:
        return None
    if not isinstance(message, Task | Trigger):
        return None
    task_id = message.id or dead_letter.message_id
    return message.model_copy(update={"id": task_id}) if task_id else None


def _only(key: str, held: Sequence[Held]) -> Sequence[Held]:
    """The dead letter with this id, beginning of an id or task's id, and its copy if there is one.

    Raises `HutchError` if there is none, or if `key` means several.
    """
    found = [
        it for it in held if it.dead_letter.id.startswith(key) or it.dead_letter.message_id == key
    ]
    exact = [it for it in found if it.dead_letter.id == key] or found
    ids = sorted({it.dead_letter.id for it in exact})
    if not ids:
        raise HutchError(f"no dead letter has the id '{key}': 'hutch dead list' lists them")
    if len(ids) > 1:
        raise HutchError(f"'{key}' means more than one dead letter; name one: {', '.join(ids)}")
    return exact
