"""The dead letters as commands use them: which are meant, and reading them where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

from services.cli import client, output
from services.cli.store import opened_store
from shared.broker.connection import Broker
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import PREFIX, DeadLetter, from_store, read
from shared.contract.messages import Task, Trigger, content_hash, decode, run_id
from shared.contract.topology import DEAD_QUEUE, mailbox_name
from shared.errors import BadMessage, HutchError, SettingsError, StoreError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.messages import dead_letters
from shared.store.messages.dead_letters import Ran


@dataclass(frozen=True)
class Held:
    """A letter, and where it is; `remove` raises `HutchError` when it could not be removed."""

    letter: DeadLetter
    place: Literal["queue", "store"]
    remove: Callable[[], Awaitable[None]]
    ran: str | None = None
    """How its task stands, where the broker gave up a delivery whose claim had been committed."""

    @property
    def reason(self) -> str:
        if self.ran is None:
            return self.letter.last.reason
        return f"not a dead letter: its task has a run ({self.ran}), only its ack was lost"


@dataclass(frozen=True)
class Choice:
    """Which letters are meant: one by its id, those of an agent or with a reason, or all."""

    id: str | None = None
    agent: str | None = None
    reason: str | None = None
    every: bool = False

    def __post_init__(self) -> None:
        filtered = self.agent is not None or self.reason is not None
        if self.id is None and not filtered and not self.every:
            raise SettingsError("which letters? name one, or give --agent, --reason or --all")
        if self.id is not None and (filtered or self.every):
            raise SettingsError("a letter's id leaves nothing for --agent, --reason or --all")

    def of(self, held: Sequence[Held]) -> Sequence[Held]:
        """Raises `HutchError` unless an id means exactly one letter."""
        if self.id is not None:
            return _only(self.id, held)
        return [it for it in held if self._has(it)]

    def _has(self, it: Held) -> bool:
        of_agent = self.agent is None or it.letter.agent == self.agent
        wanted = (self.reason or "").casefold()
        return of_agent and wanted in it.letter.last.reason.casefold()


@asynccontextmanager
async def opened(
    settings: Settings,
) -> AsyncIterator[tuple[Broker, Store | None, Sequence[Held]]]:
    """Every dead letter of the queue and then of the store, the oldest first.

    A store that can't be read is one line, and None: the queue's can be seen without it.
    """
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(client.house(settings))
        store = await _store(stack, settings)
        deliveries = await stack.enter_async_context(broker.browse(DEAD_QUEUE))
        found = [_in_queue(delivery) for delivery in deliveries]
        if store is not None:
            kept = await store.read(dead_letters.kept)
            found += [_in_store(store, from_store(it)) for it in kept]
            found = await _with_runs(store, found)
        yield broker, store, found


async def all_of(settings: Settings) -> Sequence[Held]:
    """Every dead letter; they all stay where they are."""
    async with opened(settings) as (_, __, found):
        return found


async def drop(settings: Settings, ids: Collection[str]) -> int:
    """Delete these letters; how many there still were."""
    async with opened(settings) as (_, __, found):
        chosen = [it for it in found if it.letter.id in ids]
        for it in chosen:
            await it.remove()
    return len({it.letter.id for it in chosen})


async def _store(stack: AsyncExitStack, settings: Settings) -> Store | None:
    try:
        return await stack.enter_async_context(opened_store(settings))
    except StoreError as error:
        output.remark(f"without the letters that the store keeps: {error}")
        return None


def _in_queue(delivery: Delivery) -> Held:
    async def remove() -> None:
        if not await delivery.ack():
            raise HutchError("the connection was lost: some letters are still there; try again")

    return Held(read(delivery), "queue", remove)


def _in_store(store: Store, letter: DeadLetter) -> Held:
    async def remove() -> None:
        await store.write("", partial(dead_letters.drop, ids=[PREFIX + letter.id]))

    return Held(letter, "store", remove)


async def _with_runs(store: Store, held: Sequence[Held]) -> list[Held]:
    """The broker counts lost connections as it counts deaths: what it gave up may have been run."""
    tasks = {index: task for index, it in enumerate(held) if (task := _task(it.letter))}
    ids = {index: run_id(held[index].letter.agent, task.id or "") for index, task in tasks.items()}
    runs = await store.read(partial(dead_letters.ran, run_ids=list(ids.values()))) if ids else {}
    found = list(held)
    for index, task in tasks.items():
        run: Ran | None = runs.get(ids[index])
        if run is not None and run.content_hash == content_hash(task):
            it = held[index]
            found[index] = Held(it.letter, it.place, it.remove, run.status)
    return found


def _task(letter: DeadLetter) -> Task | Trigger | None:
    """With its id, as the mailbox would have claimed it."""
    if not letter.by_broker or letter.queue != mailbox_name(letter.agent):
        return None
    try:
        message = decode(letter.body, letter.content_type)
    except BadMessage:
        return None
    if not isinstance(message, Task | Trigger):
        return None
    task_id = message.id or letter.message_id
    return message.model_copy(update={"id": task_id}) if task_id else None


def _only(key: str, held: Sequence[Held]) -> Sequence[Held]:
    """A letter can stand there twice: the broker and the agents deliver at least once."""
    found = [it for it in held if it.letter.id.startswith(key)]
    exact = [it for it in found if it.letter.id == key] or found
    ids = sorted({it.letter.id for it in exact})
    if not ids:
        raise HutchError(f"no dead letter has the id '{key}': 'hutch dead list' lists them")
    if len(ids) > 1:
        raise HutchError(f"'{key}' means more than one letter; name one: {', '.join(ids)}")
    return exact
