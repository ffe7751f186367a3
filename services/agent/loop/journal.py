"""What a run has already done: the steps that a resumed run must not do again."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Protocol, TypeVar

from pydantic import ValidationError

from shared.contract.messages import Frozen, first_fault
from shared.errors import JournalMismatch, RunLost, ToolInDoubt

FIRST_EPOCH = 1
SEAL_BYTES = 12
"""Of a call's id: nobody finds it by trying."""

Kind = Literal["model", "tool", "worker"]
Output = TypeVar("Output", bound=Frozen)


@dataclass(frozen=True, order=True)
class StepKey:
    """A step's place in its run: turns from 1; index 0 is the model call, 1… its calls in order."""

    turn: int
    index: int

    def in_run(self, run_id: str, nonce: str) -> str:
        """The step's name everywhere: a worker's task id, a tool's idempotency key.

        The same in every epoch of the run, which is why the first one's number stands in it: a
        call that a replayed run makes again is still that call, and what came of it is found.

        Its last part follows from the run's `nonce`, which only the store knows: who knows the
        run's id, or the id of another of its calls, can't derive this one. Runs of earlier
        versions have no nonce; their calls keep the ids that they had.
        """
        place = f"{run_id}.{FIRST_EPOCH}.{self.turn}.{self.index}"
        if not nonce:
            return place
        seal = blake2b(place.encode(), key=nonce.encode(), digest_size=SEAL_BYTES)
        return f"{place}.{seal.hexdigest()}"


class Journal(Protocol):
    """The finished steps of one run, as one instance sees them."""

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        """The output of a finished step, JSON; None: not finished.

        Raises `JournalMismatch` when another kind or name is recorded under the key.
        """

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        """Committed when it returns. Raises `RunLost` when another instance owns the run."""

    def leave(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        """In place of `record` for the last step: it is committed with the run's end."""

    async def hold(self) -> None:
        """Called before each call that costs or acts. Raises `RunLost` as `record` does."""

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        """In place of `hold` before a call that must not be made twice; `arguments` is JSON.

        Committed when it returns; cancelled, the call counts as never begun. Raises `RunLost`.
        """

    def doubt(self) -> ToolInDoubt | None:
        """The first call that began, as `start` says, and has no result.

        Before the run goes on, that is one whose process died in between.
        """


class MemoryJournal:
    """A journal that ends with its process, for tests; `lost` is what a takeover sets."""

    def __init__(
        self,
        steps: dict[StepKey, tuple[Kind, str, str]] | None = None,
        starts: dict[StepKey, tuple[str, str]] | None = None,
    ) -> None:
        self.steps = {} if steps is None else steps
        self.starts = {} if starts is None else starts
        self.lost = False

    def recorded(self, key: StepKey, kind: Kind, name: str) -> str | None:
        if key not in self.steps:
            return None
        check_step(key, self.steps[key][:2], (kind, name))
        return self.steps[key][2]

    async def record(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        await self.hold()
        self.steps[key] = (kind, name, output)

    def leave(self, key: StepKey, kind: Kind, name: str, output: str) -> None:
        self.steps[key] = (kind, name, output)

    async def hold(self) -> None:
        if self.lost:
            raise RunLost("another instance owns this run now")

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        await self.hold()
        self.starts[key] = (name, arguments)

    def doubt(self) -> ToolInDoubt | None:
        open_starts = sorted(self.starts.keys() - self.steps.keys())
        return ToolInDoubt(*self.starts[open_starts[0]]) if open_starts else None


def check_step(key: StepKey, recorded: tuple[str, str], asked: tuple[str, str]) -> None:
    """Raises `JournalMismatch` when a recorded step isn't the one asked for."""
    if recorded != asked:
        found = " ".join(map(str, recorded))
        raise JournalMismatch(
            f"turn {key.turn}, step {key.index} is recorded as {found}, but the run "
            f"now asks for {' '.join(asked)}: it can't go on; send the task again with a new id"
        )


def output_as(kind: type[Output], key: StepKey, recorded: str) -> Output:
    """A finished step's output; raises `JournalMismatch` when it can't be read."""
    try:
        return kind.model_validate_json(recorded)
    except ValidationError as error:
        why = f"is recorded, but can't be read: {first_fault(error)}"
        raise JournalMismatch(f"turn {key.turn}, step {key.index} {why}") from error
