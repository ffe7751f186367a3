"""The dead letters in the queue and in the store, and the selection of some of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

from shared.broker.connection import Broker
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import PREFIX, DeadLetter, from_store, read
from shared.contract.content_hash import content_hash
from shared.contract.messages import Task, Trigger, decode, run_id
from shared.contract.topology import DEAD_QUEUE, mailbox_name
from shared.errors import BadMessage, HutchError, SettingsError
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
    """Selects one dead letter by its id, those that a filter lets through, or all.

    `reason` is a part of the reason; `since` and `until` limit the time of the last failure.
    """

    id: str | None = None
    agent: str | None = None
    reason: str | None = None
    every: bool = False
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        filters = (self.agent, self.reason, self.since, self.until)
        filtered = any(it is not None for it in filters)
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
        last = it.dead_letter.last
        return of_agent and wanted in last.reason.casefold() and self._in_time(last.at)

    def _in_time(self, at: datetime | None) -> bool:
        if at is None:
            return self.since is None and self.until is None
        after = self.since is None or at >= self.since
        return after and (self.until is None or at <= self.until)


@asynccontextmanager
async def holding(broker: Broker, store: Store | None) -> AsyncIterator[Sequence[Held]]:
    """The dead letters of the queue and then those of the store, each the oldest first.

    They stay where they are until `Held.remove`; meanwhile no other reader sees those of the queue.
    Without the store, only the queue is read.
    """
    async with broker.browse(DEAD_QUEUE) as deliveries:
        held = [_in_queue(delivery) for delivery in deliveries]
        if store is not None:
            stored = await store.read(dead_letters.stored)
            held += [_in_store(store, from_store(it)) for it in stored]
            held = await _with_runs(store, held)
        yield held


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
