"""The happenings of a task and of all that it causes, for a client that follows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.contract.messages import Response
from shared.store.queries.progress import ApprovalProgress


@dataclass(frozen=True)
class RunChanged:
    """A run of the tree has begun, changed its state or its process, or ended; or a call of it
    needs approval, or was decided on.

    `status` is its state while it is open, then how it ended. `approvals` are all of this run.
    """

    place: str
    """The place in the journal after this happening, with which a client can go on."""
    run_id: str
    agent: str
    task_id: str
    parent_id: str | None
    status: str
    instance: str | None
    at: datetime
    approvals: tuple[ApprovalProgress, ...] = ()


@dataclass(frozen=True)
class StepDone:
    """A step of the tree is finished; `seconds` is how long it took, where that is known."""

    place: str
    run_id: str
    agent: str
    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    seconds: float | None
    at: datetime


@dataclass(frozen=True)
class Text:
    """A piece of the text of a turn of the followed run. `gap`: text before it was lost."""

    turn: int
    text: str
    gap: bool = False


@dataclass(frozen=True)
class Restart:
    """The text of this turn begins again: what came of it so far is void, and of later turns too.

    Reasons: another process continues the run (`taken over`), the model has begun its reply again
    (`retried`), pieces of the text were lost and the whole follows (`lost`).
    """

    turn: int
    reason: Literal["taken over", "retried", "lost"]


@dataclass(frozen=True)
class Ended:
    """The response; nothing follows. `place` is empty if the task has no run: it was refused."""

    place: str
    response: Response


@dataclass(frozen=True)
class Draining:
    """This gateway ends; the client can go on after `place` at another one. Nothing follows."""

    place: str


Happening = RunChanged | StepDone | Text | Restart | Ended | Draining
