"""Places in the journal of a task's tree: how much of it a client has received.

A time would be wrong as a place. Steps of different runs become visible in another order than the
one in which they finished: a step that finished first can be committed last, and a client that had
received a later one would never receive it. Nor is there a number that grows with each commit.

But each run writes its own steps in order: no step of a turn is written before all steps of the
turns before it. So the steps of one run that a client has received are fully described by the last
turn of which it has any, and by the set of its positions. A place names these two for each run that
a client knows to be open, with a fingerprint of its last reported state.

A run that the place does not name is either new or over, and the place shows which: a worker's run
is over once the client has received the caller's step for this call. It is sent after all of the
worker's run. So a place names no more runs than were open at once, however large the tree is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from shared.store.queries.progress import ApprovalProgress, RunProgress

KEY_CHARS = 12
"""So much of a run's id tells it apart from the others of its tree."""
LOWEST = -3
"""The lowest position of a step: steps that shorten the history come before the model call, 0."""

_RUN = re.compile(r"([0-9a-f]{12})\.([0-9a-f]{6})\.([0-9]{1,9})\.([0-9a-f]{1,64})")
_END = re.compile(r"end\.([0-9]{1,9})")
_PART = rf"({_RUN.pattern}|{_END.pattern})"
FORM = rf"^({_PART}(~{_PART})*)?$"
"""The texts that are places."""


def fingerprint(
    run: RunProgress, status: str | None = None, approvals: Sequence[ApprovalProgress] = ()
) -> str:
    """Differs when the run's state, process, epoch or approvals have changed."""
    text = f"{run.epoch} {status or run.status} {run.owner or ''}"
    text += "".join(f" {it.approval_id} {it.state}" for it in approvals)
    return blake2b(text.encode(), digest_size=3).hexdigest()


@dataclass(frozen=True)
class RunPlace:
    """How much of one run was received: its last state, and the steps up to those of `turn`."""

    state: str
    turn: int = 0
    positions: int = 0
    """A bit for each received position of `turn`."""

    def has(self, turn: int, position: int) -> bool:
        bit = 1 << (position - LOWEST)
        return turn < self.turn or (turn == self.turn and bool(self.positions & bit))

    def with_step(self, turn: int, position: int) -> RunPlace:
        earlier = self.positions if turn == self.turn else 0
        return replace(self, turn=turn, positions=earlier | 1 << (position - LOWEST))


@dataclass(frozen=True)
class Place:
    """The empty place is the beginning. `ended` is the epoch whose response was received."""

    runs: Mapping[str, RunPlace] = field(default_factory=dict)
    """By the first `KEY_CHARS` of the run's id."""
    ended: int = 0

    def __str__(self) -> str:
        parts = [
            f"{key}.{run.state}.{run.turn}.{run.positions:x}" for key, run in self.runs.items()
        ]
        return "~".join([*parts, f"end.{self.ended}"] if self.ended else parts)

    @classmethod
    def parsed(cls, text: str) -> Place:
        """Raises `ValueError` for a text that is no place."""
        runs: dict[str, RunPlace] = {}
        ended = 0
        for part in text.split("~") if text else ():
            if match := _RUN.fullmatch(part):
                key, state, turn, positions = match.groups()
                runs[key] = RunPlace(state, int(turn), int(positions, 16))
            elif match := _END.fullmatch(part):
                ended = int(match[1])
            else:
                raise ValueError(f"'{part[:40]}' is no place in a task's journal")
        return cls(runs, ended)
