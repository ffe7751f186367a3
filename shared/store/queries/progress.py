"""The progress of a message and of all that it has caused, for clients that follow it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import islice

from pydantic import TypeAdapter
from sqlalchemy import Select, and_, case, func, or_, select
from sqlalchemy.engine import Connection

from shared.contract.approvals import ApprovalState
from shared.contract.rows import mended
from shared.store.messages.tables import sent_messages
from shared.store.queries.reports import Instant
from shared.store.schema import approvals, runs, steps

RUNS_ASKED = 200
"""The most runs whose steps one statement asks for: databases limit a statement's parameters."""


@dataclass(frozen=True)
class RunProgress:
    """`status` is the run's state while it is open, then how it ended."""

    run_id: str
    agent: str
    task_id: str
    parent_id: str | None
    root_id: str
    status: str
    owner: str | None
    epoch: int
    claimed_at: Instant
    ended_at: Instant | None
    damage: str = ""


@dataclass(frozen=True)
class StepProgress:
    """A finished step. `output` is only read for the model calls of the run that is followed."""

    run_id: str
    epoch: int
    turn: int
    position: int
    kind: str
    name: str
    seconds: float | None
    finished_at: Instant
    output: str | None = None
    damage: str = ""


@dataclass(frozen=True)
class ApprovalProgress:
    """A call that needs approval, without its arguments; `state` is an `ApprovalState`."""

    approval_id: str
    run_id: str
    agent: str
    turn: int
    position: int
    kind: str
    name: str
    state: str
    asked_at: Instant
    expires_at: Instant
    decided_at: Instant | None
    decided_by: str | None
    damage: str = ""


@dataclass(frozen=True)
class TreeProgress:
    """The runs of a tree, steps of theirs, and the message and response of the followed run.

    `approvals` are those of the whole tree, in the order in which they were asked for.

    Without runs: no agent has claimed the message yet.
    """

    runs: Sequence[RunProgress] = ()
    steps: Sequence[StepProgress] = ()
    message: str = ""
    response: str | None = None
    approvals: Sequence[ApprovalProgress] = ()

    @property
    def pending(self) -> Sequence[ApprovalProgress]:
        """The calls that wait for a decision."""
        return [it for it in self.approvals if it.state == ApprovalState.PENDING]

    def run(self, run_id: str) -> RunProgress | None:
        return next((it for it in self.runs if it.run_id == run_id), None)


Wanted = Callable[[Sequence[RunProgress]], Mapping[str, int]]
"""The runs whose steps are wanted, each from this turn on."""

_RUN, _STEP = TypeAdapter(RunProgress), TypeAdapter(StepProgress)
_APPROVAL = TypeAdapter(ApprovalProgress)
_BLANK: dict[str, object] = {
    "task_id": "",
    "parent_id": None,
    "root_id": "",
    "status": "",
    "owner": None,
    "epoch": 1,
    "claimed_at": datetime.fromtimestamp(0, UTC),
    "ended_at": None,
    "kind": "",
    "name": "",
    "seconds": None,
    "finished_at": datetime.fromtimestamp(0, UTC),
    "output": None,
    "turn": 0,
    "position": 0,
    "state": ApprovalState.WITHDRAWN,
    "asked_at": datetime.fromtimestamp(0, UTC),
    "expires_at": datetime.fromtimestamp(0, UTC),
    "decided_at": None,
    "decided_by": None,
}
_RUNS = select(
    runs.c.run_id,
    runs.c.agent,
    runs.c.task_id,
    runs.c.parent_id,
    runs.c.root_id,
    func.coalesce(runs.c.status, runs.c.state).label("status"),
    runs.c.owner,
    runs.c.epoch,
    runs.c.claimed_at,
    runs.c.ended_at,
)


def tree(connection: Connection, followed: str, wanted: Wanted) -> TreeProgress:
    """The runs that the root message of this run has caused, and the wanted ones of their steps.

    The runs are read first, so the steps of a run that has ended are complete. The outputs are only
    read of the model calls of the followed run.
    """
    if (root := run(connection, followed)) is None:
        return TreeProgress()
    found = _read(connection, _RUNS.where(runs.c.root_id == root.root_id))
    asked = _approvals(connection, root.root_id)
    steps = _steps(connection, followed, wanted(found))
    return TreeProgress(found, steps, *_bodies(connection, followed), asked)


def end(connection: Connection, run_id: str) -> TreeProgress:
    """The run alone, without its steps, and its message and response if it has ended; the
    approvals of its tree while it is open."""
    found = run(connection, run_id)
    if found is None:
        return TreeProgress()
    if found.ended_at:
        return TreeProgress((found,), (), *_bodies(connection, run_id))
    return TreeProgress((found,), approvals=_approvals(connection, found.root_id))


def runs_of(connection: Connection, task_id: str) -> Sequence[RunProgress]:
    """The runs of the messages with this id: each agent can have one."""
    return _read(connection, _RUNS.where(runs.c.task_id == task_id))


def run(connection: Connection, run_id: str) -> RunProgress | None:
    found = _read(connection, _RUNS.where(runs.c.run_id == run_id))
    return found[0] if found else None


def sent_at(connection: Connection, agent: str, task_id: str) -> float | None:
    """When a client has sent this message to the agent; None if none has recorded that."""
    here = and_(sent_messages.c.message_id == task_id, sent_messages.c.receiver == agent)
    at: float | None = connection.execute(select(sent_messages.c.sent_at).where(here)).scalar()
    return at


def _read(connection: Connection, query: Select[*tuple[object, ...]]) -> Sequence[RunProgress]:
    ordered = query.order_by(runs.c.claimed_at, runs.c.run_id)
    return [mended(_RUN, {**row}, _BLANK) for row in connection.execute(ordered).mappings()]


def _approvals(connection: Connection, root_id: str) -> Sequence[ApprovalProgress]:
    query = select(*(approvals.c[name] for name in _APPROVAL_FIELDS))
    ordered = query.where(approvals.c.root_id == root_id).order_by(
        approvals.c.asked_at, approvals.c.approval_id
    )
    return [mended(_APPROVAL, {**row}, _BLANK) for row in connection.execute(ordered).mappings()]


_APPROVAL_FIELDS = [it.name for it in fields(ApprovalProgress) if it.name != "damage"]


def _bodies(connection: Connection, run_id: str) -> tuple[str, str | None]:
    query = select(runs.c.message, runs.c.response).where(runs.c.run_id == run_id)
    row = connection.execute(query).first()
    return (row.message, row.response) if row else ("", None)


def _steps(connection: Connection, followed: str, since: Mapping[str, int]) -> list[StepProgress]:
    output = case((and_(steps.c.run_id == followed, steps.c.position == 0), steps.c.output))
    names = ("run_id", "epoch", "turn", "position", "kind", "name", "seconds", "finished_at")
    query = select(*(steps.c[name] for name in names), output.label("output"))
    found: list[StepProgress] = []
    rest = iter(since.items())
    while batch := list(islice(rest, RUNS_ASKED)):
        later = or_(*(and_(steps.c.run_id == run, steps.c.turn >= turn) for run, turn in batch))
        ordered = query.where(later).order_by(steps.c.turn, steps.c.position)
        rows = connection.execute(ordered).mappings()
        found += [mended(_STEP, {**row}, _BLANK) for row in rows]
    return found
