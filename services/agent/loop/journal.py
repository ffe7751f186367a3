"""The journal: the finished steps of a run, which a resumed run must not repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from pydantic import ValidationError

from shared.contract.approvals import ApprovalDecision, ApprovalRequest
from shared.contract.call_ids import Call, call_id
from shared.contract.messages import Frozen
from shared.errors import JournalMismatch, RunLost, ToolInDoubt
from shared.validation import first_fault

StepKind = Literal["model", "tool", "worker"]
Output = TypeVar("Output", bound=Frozen)


@dataclass(frozen=True, order=True)
class StepKey:
    """A step's place in its run. Turns count from 1; index 0 is the model call, and 1, 2, … are the
    calls of its reply, in order."""

    turn: int
    index: int

    def step_id(self, run_id: str, nonce: str) -> str:
        """The step's id outside the run, see `call_id`."""
        return call_id(Call(run_id, self.turn, self.index), nonce)


class Journal(Protocol):
    """The finished steps of one run, for the instance that owns it."""

    def recorded(self, key: StepKey, kind: StepKind, name: str) -> str | None:
        """The output of a finished step as JSON; None if it has not finished.

        Raises `JournalMismatch` if another kind or name is recorded under the key.
        """

    async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        """Commit a finished step. Raises `RunLost` if another instance owns the run."""

    def record_at_end(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        """In place of `record` for the last step: it is committed together with the run's end."""

    async def begin(self, key: StepKey) -> None:
        """To be awaited before each call that costs money or has effects: the time of its step
        counts from here. Raises `RunLost` as `record` does."""

    async def begin_again(self) -> None:
        """To be awaited if the model call that has begun was delayed until now. Raises as `begin`
        does."""

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        """In place of `begin` before a call that must not be made twice: commits its start.

        `arguments` is JSON. If this is cancelled, the call counts as not started. Raises `RunLost`.
        """

    def decision(self, request: ApprovalRequest) -> ApprovalDecision | None:
        """The decision on this very call; None if there is none, or only one on another call.

        A call that is approved twice, because its process died, is the same call.
        """

    def call_in_doubt(self) -> ToolInDoubt | None:
        """The first call with a recorded start and no result.

        Before a resumed run makes calls itself, that is a call during which an earlier owner died.
        """


class MemoryJournal:
    """A journal in memory, for tests; setting `lost` simulates a takeover."""

    def __init__(
        self,
        steps: dict[StepKey, tuple[StepKind, str, str]] | None = None,
        starts: dict[StepKey, tuple[str, str]] | None = None,
    ) -> None:
        self.steps = {} if steps is None else steps
        self.starts = {} if starts is None else starts
        self.decisions: dict[ApprovalRequest, ApprovalDecision] = {}
        self.lost = False

    def recorded(self, key: StepKey, kind: StepKind, name: str) -> str | None:
        if key not in self.steps:
            return None
        check_step(key, self.steps[key][:2], (kind, name))
        return self.steps[key][2]

    async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        await self.begin(key)
        self.steps[key] = (kind, name, output)

    def record_at_end(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        self.steps[key] = (kind, name, output)

    async def begin(self, key: StepKey) -> None:
        await self.begin_again()

    async def begin_again(self) -> None:
        if self.lost:
            raise RunLost("another instance owns this run now")

    async def start(self, key: StepKey, name: str, arguments: str) -> None:
        await self.begin(key)
        self.starts[key] = (name, arguments)

    def decision(self, request: ApprovalRequest) -> ApprovalDecision | None:
        return self.decisions.get(request)

    def call_in_doubt(self) -> ToolInDoubt | None:
        open_starts = sorted(self.starts.keys() - self.steps.keys())
        return ToolInDoubt(*self.starts[open_starts[0]]) if open_starts else None


def check_step(key: StepKey, recorded: tuple[str, str], asked: tuple[str, str]) -> None:
    """Raises `JournalMismatch` if the recorded kind and name aren't those that the run asks for."""
    if recorded != asked:
        found = " ".join(map(str, recorded))
        raise JournalMismatch(
            f"turn {key.turn}, step {key.index} is recorded as {found}, but the run "
            f"now asks for {' '.join(asked)}: it can't go on; send the task again with a new id"
        )


def parse_output(kind: type[Output], key: StepKey, recorded: str) -> Output:
    """A finished step's output; raises `JournalMismatch` if it can't be read."""
    try:
        return kind.model_validate_json(recorded)
    except ValidationError as error:
        why = f"is recorded, but can't be read: {first_fault(error)}"
        raise JournalMismatch(f"turn {key.turn}, step {key.index} {why}") from error
