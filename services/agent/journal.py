"""What a run has already done: the steps that a resumed run must not do again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from shared.errors import JournalMismatch, RunLost

Kind = Literal["model", "tool", "worker"]


@dataclass(frozen=True, order=True)
class StepKey:
    """A step's place in its run: turns from 1; index 0 is the model call, 1… its calls in order."""

    turn: int
    index: int


class Journal(Protocol):
    """The finished steps of one run, as one instance sees them."""

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        """The output of a finished step, JSON; None: not finished.

        Raises `JournalMismatch` when another kind or name is recorded under the key.
        """

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        """Committed when it returns. Raises `RunLost` when another instance owns the run."""

    async def hold(self) -> None:
        """Called before each call that costs or acts. Raises `RunLost` as `record` does."""


class MemoryJournal:
    """A journal that ends with its process, for tests; `lost` is what a takeover sets."""

    def __init__(self, steps: dict[StepKey, tuple[Kind, str, str]] | None = None) -> None:
        self.steps = {} if steps is None else steps
        self.lost = False

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        if key not in self.steps:
            return None
        check_step(key, self.steps[key][:2], (kind, name))
        return self.steps[key][2]

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        await self.hold()
        self.steps[key] = (kind, name, output)

    async def hold(self) -> None:
        if self.lost:
            raise RunLost("another instance owns this run now")


def check_step(key: StepKey, recorded: tuple[str, str], asked: tuple[str, str]) -> None:
    """Raises `JournalMismatch` when a recorded step isn't the one asked for."""
    if recorded != asked:
        raise JournalMismatch(
            f"turn {key.turn}, step {key.index} is recorded as {' '.join(recorded)}, but the run "
            f"now asks for {' '.join(asked)}: it can't go on; send the task again with a new id"
        )
