"""A tree of runs with the bars of its timeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from services.gateway.access.caller import Caller
from services.gateway.approvals import ApprovalView
from services.gateway.timeline.bar import Bar, BarKind
from services.gateway.timeline.bars import AskedCall, Life, PlannedCall, bars, turns_in_progress
from services.gateway.timeline.rows import Parents, RunRow, row_of
from services.gateway.timeline.snapshot import snapshot_of
from shared.contract.approvals import ApprovalState
from shared.contract.rows import output_of
from shared.errors import DamagedRow
from shared.store import Store
from shared.store.queries import timeline
from shared.store.queries.approval_lists import ShownApproval, of_tree
from shared.store.queries.timeline import RunLine, TreeLines
from shared.store.runs.approvals import Approval


class ParentStep(BaseModel):
    """The call of a run that another run answers."""

    model_config = ConfigDict(frozen=True)

    turn: int
    position: int


class TreeRun(RunRow):
    """A run in its tree."""

    parent_run_id: str | None
    parent_step: ParentStep | None = Field(description="the call of its parent that it answers")
    owner: str | None = Field(description="the process that computes it while it is open")
    bars: list[Bar]


class RunTree(BaseModel):
    """All runs that one message has caused, oldest first; with `after` only those that may have
    changed."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(description="the time on the store's clock")
    cursor: str = Field(description="to be sent as `after` next")
    runs: list[TreeRun]
    steps_total: int
    approvals: list[ApprovalView] = Field(
        description="calls of the whole tree that need approval, oldest first"
    )


@dataclass(frozen=True)
class TreeData:
    """A tree as it was read from the store."""

    lines: TreeLines
    replies: Mapping[tuple[str, int], str]
    definitions: Mapping[str, str]
    approvals: Sequence[ShownApproval]


async def read_tree(store: Store, root_id: str, since: float | None) -> TreeData:
    lines = await store.read(lambda connection: timeline.tree(connection, root_id, since))
    turns = {
        (line.row.run_id, turn) for line in lines.lines for turn in turns_in_progress(_life(line))
    }
    asked_for = await store.read(lambda connection: of_tree(connection, root_id))
    if not turns:
        return TreeData(lines, {}, {}, asked_for)
    asked = {run_id for run_id, _ in turns}
    hashes = {line.definition for line in lines.lines if line.row.run_id in asked}
    return TreeData(
        lines,
        await store.read(lambda connection: timeline.replies(connection, turns)),
        await store.read(lambda connection: timeline.bodies(connection, hashes)),
        asked_for,
    )


def tree_runs(data: TreeData, caller: Caller) -> list[TreeRun]:
    """The runs of the tree that the caller may see."""
    parents = Parents(data.lines.rows)
    children: dict[str, dict[tuple[int, int], str]] = {}
    for row in data.lines.rows:
        if (above := parents.parent(row)) and above[1]:
            children.setdefault(above[0], {})[above[1]] = row.run_id
    asked: dict[str, list[AskedCall]] = {}
    for shown in data.approvals:
        asked.setdefault(shown.approval.run_id, []).append(_asked(shown.approval))
    found = []
    for line in data.lines.lines:
        row = line.row
        if not caller.sees(row.agent):
            continue
        above = parents.parent(row)
        life = replace(_life(line), asked=asked.get(row.run_id, ()))
        body = data.definitions.get(line.definition, "")
        calls = {
            turn: list(_calls(reply, body))
            for turn in turns_in_progress(life)
            if (reply := data.replies.get((row.run_id, turn)))
        }
        life = replace(life, calls=calls, children=children.get(row.run_id, {}))
        found.append(
            TreeRun(
                **dict(row_of(row)),
                parent_run_id=above[0] if above else None,
                parent_step=ParentStep(turn=above[1][0], position=above[1][1])
                if above and above[1]
                else None,
                owner=row.owner,
                bars=bars(life),
            )
        )
    return found


def _life(line: RunLine) -> Life:
    row = line.row
    sent_at, not_before = _times(line.beginning)
    return Life(
        status=row.status,
        claimed_at=line.claimed_at,
        ended_at=line.ended_at,
        epoch=line.epoch,
        sent_at=sent_at,
        not_before=not_before,
        owner=row.owner,
        session=row.session,
        steps=line.steps,
        marks=line.marks,
    )


def _asked(it: Approval) -> AskedCall:
    by = f" by {it.decided_by}" if it.decided_by else ""
    decision = "" if it.state is ApprovalState.PENDING else f"{it.state}{by}"
    place = it.epoch, it.turn, it.position
    return AskedCall(*place, it.name, it.asked_at, it.decided_at, decision)


_TIME = TypeAdapter(datetime)


def _times(beginning: str) -> Sequence[float | None]:
    """When a message was sent, and before when its run may not start, as far as its beginning says
    so."""
    try:
        read = from_json(beginning, allow_partial="trailing-strings")
    except ValueError:
        return None, None
    fields = read if isinstance(read, dict) else {}
    return [_seconds(fields.get(name)) for name in ("sent_at", "not_before")]


def _seconds(value: object) -> float | None:
    try:
        return None if value is None else _TIME.validate_python(value).timestamp()
    except (ValidationError, OverflowError):
        return None


@lru_cache(maxsize=64)
def _kinds(body: str) -> Mapping[str, BarKind]:
    """By the names of what the run's model can call."""
    read = snapshot_of(body)
    workers = {it.name: BarKind.WORKER for it in read.workers}
    return {it.name: BarKind.TOOL for it in read.tools} | workers


def _calls(reply: str, body: str) -> Iterator[PlannedCall]:
    """The calls of a reply that are made; one with arguments that can't be read is answered at
    once, without a step."""
    try:
        calls = output_of(reply).tool_calls
    except DamagedRow:
        return
    kinds = _kinds(body)
    for position, call in enumerate(calls, 1):
        if call.name in kinds and _is_object(call.arguments):
            yield PlannedCall(position, kinds[call.name], call.name)


def _is_object(arguments: str) -> bool:
    try:
        read = from_json(arguments.strip() or "{}")
        return isinstance(from_json(read) if isinstance(read, str) else read, dict)
    except ValueError:
        return False
