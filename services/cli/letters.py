"""The dead letters as commands use them: which are meant, and reading them where they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from services.cli import client
from shared.errors import HutchError, SettingsError
from shared.letters import Letter, read
from shared.settings import Settings
from shared.topology import DEAD_QUEUE


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

    def of(self, letters: Sequence[Letter]) -> Sequence[Letter]:
        """Raises `HutchError` unless an id means exactly one letter."""
        if self.id is not None:
            return _only(self.id, letters)
        return [letter for letter in letters if self._has(letter)]

    def _has(self, letter: Letter) -> bool:
        of_agent = self.agent is None or letter.agent == self.agent
        wanted = (self.reason or "").casefold()
        return of_agent and wanted in letter.last.reason.casefold()


async def all_of(settings: Settings) -> Sequence[Letter]:
    """Every dead letter, the oldest first; they all stay where they are."""
    async with client.house(settings) as broker, broker.browse(DEAD_QUEUE) as held:
        return [read(delivery) for delivery in held]


async def drop(settings: Settings, ids: Collection[str]) -> int:
    """Delete these letters; how many there still were."""
    async with client.house(settings) as broker, broker.browse(DEAD_QUEUE) as held:
        chosen = [delivery for delivery in held if read(delivery).id in ids]
        gone = [await delivery.ack() for delivery in chosen]
    if not all(gone):
        raise HutchError("the connection was lost: some letters are still there; drop them again")
    return len({read(delivery).id for delivery in chosen})


def _only(key: str, letters: Sequence[Letter]) -> Sequence[Letter]:
    """A letter can stand there twice: the broker and the agents deliver at least once."""
    found = [letter for letter in letters if letter.id.startswith(key)]
    exact = [letter for letter in found if letter.id == key] or found
    ids = sorted({letter.id for letter in exact})
    if not ids:
        raise HutchError(f"no dead letter has the id '{key}': 'hutch dead list' lists them")
    if len(ids) > 1:
        raise HutchError(f"'{key}' means more than one letter; name one: {', '.join(ids)}")
    return exact
