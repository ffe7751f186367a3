"""The bars of one run in the timeline of its tree, computed from its row, steps and marks.

A run alternates between two phases: a process computes it, or it waits for one. A mark begins each
phase but the first. The steps that finish in a computing phase are its bars; what was in progress
at its end is one too. A step that was recorded by an earlier version has no length: its bar begins
where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, NamedTuple

from pydantic import Field

from shared.contract.messages import ANSWERED
from shared.store.processes.heartbeats import DEAD_AFTER_S
from shared.store.queries.timeline import MarkRow, StepTime
from shared.store.runs.marks import MarkKind
from shared.store.schema import RunState

LEAST_S = 0.02
"""A shorter wait, or a shorter call without a result, is no bar."""


class BarKind(StrEnum):
    QUEUED = "queued"
    """Sent, and not claimed yet; it begins by its sender's clock."""
    SLOT = "slot"
    """Claimed, and waiting for a slot, or for its turn in its session."""
    MODEL = "model"
    TOOL = "tool"
    WORKER = "worker"
    POSTPONED = "postponed"
    """Waiting until its model can be asked again, or for the time that its task names."""
    DEAD = "dead"
    """Its process was dead, and no other had taken it over."""
    RESUMED = "resumed"
    """A moment: a process goes on with it."""
    PARKED = "parked"
    """Given up by its process, or ended as failed and replayed later."""


@dataclass(slots=True)
class StepKey:
    """A step's key in its run."""

    epoch: int
    turn: int
    position: int


@dataclass(slots=True)  # a tree can have many thousands: pydantic's models take three times as long
class Bar:
    """A span of time of a run; `to` is null while it lasts."""

    kind: BarKind
    name: Annotated[str, Field(description="of the step, tool or worker; empty for a wait")]
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime | None
    step: Annotated[StepKey | None, Field(description="the finished step, or the one in progress")]
    instance: Annotated[str | None, Field(description="the process, where it is known")]
    reason: str
    child_run_id: Annotated[str | None, Field(description="the worker's run")]


class PlannedCall(NamedTuple):
    """A call in a model's reply."""

    position: int
    kind: BarKind
    name: str


@dataclass(frozen=True)
class Life:
    """All that is known of one run; times are in seconds."""

    status: str
    claimed_at: float
    ended_at: float | None
    epoch: int = 1
    sent_at: float | None = None
    not_before: float | None = None
    owner: str | None = None
    session: str | None = None
    steps: Sequence[StepTime] = ()
    """In the order of their ends."""
    marks: Sequence[MarkRow] = ()
    calls: Mapping[int, Sequence[PlannedCall]] = field(default_factory=dict)
    """The calls of the turns that `turns_in_progress` names."""
    children: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """The ids of the workers' runs, by turn and position."""


def turns_in_progress(life: Life) -> set[int]:
    """The turns of which some calls may have no answer where a phase of computing ends."""
    ends = [it.at for it in life.marks if it.kind != MarkKind.STARTED]
    if life.status not in ANSWERED:
        ends.append(float("inf"))
    return {turn for end in ends if (turn := _turn(life.steps, end))}


def bars(life: Life) -> list[Bar]:
    """The bars in the order of their beginnings."""
    return sorted(_Timeline(life).bars(), key=lambda bar: bar.from_)


@dataclass
class _Timeline:
    life: Life

    def __post_init__(self) -> None:
        life = self.life
        self.at = life.claimed_at
        """The beginning of the present phase."""
        self.seen = 0
        """The number of steps that have their bars."""
        self.instance: str | None = None
        first = next((it.kind for it in life.marks), None)
        starts_late = first == MarkKind.STARTED or (first is None and life.status == RunState.DUE)
        self.wait: tuple[BarKind, str] | None = (BarKind.SLOT, "") if starts_late else None
        """Why no process computes it; None while one does."""

    def bars(self) -> Iterator[Bar]:
        life = self.life
        if life.sent_at is not None and life.sent_at < life.claimed_at:
            yield _bar(BarKind.QUEUED, life.sent_at, life.claimed_at)
        for mark in life.marks:
            yield from self._until(mark)
        if life.ended_at is None and self.wait is None:
            self.instance = life.owner or self.instance
        reason = "" if life.ended_at is None else f"no result: the run ended as {life.status}"
        yield from self._close(self._ended_at(), reason, answered=life.status in ANSWERED)

    def _ended_at(self) -> float | None:
        """The end of the run, or of its last step, which is stored with it and a moment later."""
        last_s = self.life.steps[-1].finished_at if self.life.steps else 0.0
        return None if self.life.ended_at is None else max(self.life.ended_at, last_s)

    def _until(self, mark: MarkRow) -> Iterator[Bar]:
        match mark.kind:
            case MarkKind.STARTED:
                was_begun = self.wait is not None and self.at > self.life.claimed_at
                yield from self._close(mark.at)
                self._compute(mark)
                if was_begun:
                    yield _bar(BarKind.RESUMED, mark.at, mark.at, instance=mark.instance)
            case MarkKind.TAKEN_OVER:
                dead = self.instance = mark.reason or None
                died_at = max(self._active_at(mark.at), mark.at - DEAD_AFTER_S)
                yield from self._close(died_at, f"{dead or 'its process'} has died")
                by = f"taken over by {mark.instance}"
                yield _bar(BarKind.DEAD, died_at, mark.at, instance=dead, reason=by)
                self._compute(mark)
                yield _bar(BarKind.RESUMED, mark.at, mark.at, instance=mark.instance, reason=by)
            case MarkKind.POSTPONED:
                self.instance = mark.instance or self.instance
                yield from self._close(mark.at, mark.reason)
                self._wait(mark.at, BarKind.POSTPONED, mark.reason)
            case MarkKind.HANDED_OVER:
                self.instance = mark.instance or self.instance
                why = f"handed over by {mark.instance}"
                yield from self._close(mark.at, why)
                self._wait(mark.at, BarKind.PARKED, why)
            case MarkKind.REPLAYED:
                if self.wait is None:
                    failed_at = self._active_at(mark.at)
                    yield from self._close(failed_at, answered=True)
                    self._wait(failed_at, BarKind.PARKED, "it had failed, and was then replayed")
                yield from self._close(mark.at)
                self._wait(mark.at, BarKind.SLOT, "")

    def _compute(self, mark: MarkRow) -> None:
        self.at, self.wait, self.instance = mark.at, None, mark.instance

    def _wait(self, at: float, kind: BarKind, reason: str) -> None:
        self.at, self.wait, self.instance = at, (kind, reason), None

    def _active_at(self, until: float) -> float:
        """The last time until then at which a step has finished or the phase began."""
        ends = [it.finished_at for it in self.life.steps if self.at < it.finished_at <= until]
        return ends[-1] if ends else self.at

    def _close(
        self, until: float | None, reason: str = "", *, answered: bool = False
    ) -> Iterator[Bar]:
        """The bars of the present phase. `reason` says why what is in progress has no result;
        nothing is in progress where the run was `answered`."""
        if self.wait is None:
            yield from self._computed(until, reason, answered=answered)
        else:
            yield from self._waited(*self.wait, until)

    def _waited(self, kind: BarKind, reason: str, until: float | None) -> Iterator[Bar]:
        at, not_before = self.at, self.life.not_before
        if kind is BarKind.SLOT and at == self.life.claimed_at and not_before and not_before > at:
            late = until is None or not_before < until
            delayed_to = not_before if late else until
            yield _bar(BarKind.POSTPONED, at, delayed_to, reason="its task starts no earlier")
            at = not_before if late else at
            if not late:
                return
        if kind is BarKind.SLOT and self.life.session:
            reason = reason or f"for a slot, or for its turn in session {self.life.session}"
        if until is None or until - at >= LEAST_S:
            yield _bar(kind, at, until, reason=reason)

    def _computed(self, until: float | None, reason: str, *, answered: bool) -> Iterator[Bar]:
        steps, before, life = self.life.steps, self.at, self.life
        model_at: dict[int, float] = {}
        """When the model has replied in each turn."""
        while self.seen < len(steps):
            step = steps[self.seen]
            if until is not None and step.finished_at > until:
                break
            self.seen += 1
            began = before if step.position <= 0 else model_at.get(step.turn, self.at)
            if step.seconds is not None:
                began = step.finished_at - step.seconds
            place = StepKey(epoch=step.epoch, turn=step.turn, position=step.position)
            yield self._step(step.kind, step.name, began, step.finished_at, place)
            before = max(before, step.finished_at)
            if step.position == 0:
                model_at[step.turn] = step.finished_at
        if answered:
            return
        done = steps[: self.seen]
        turn = _turn(done, float("inf"))
        finished = {it.position for it in done if it.turn == turn}
        unanswered = [it for it in life.calls.get(turn, ()) if it.position not in finished]
        if not unanswered:
            if until is None or until - before >= LEAST_S:
                place = StepKey(epoch=life.epoch, turn=turn + 1, position=0)
                yield self._step(BarKind.MODEL, "turn", before, until, place, reason)
            return
        for call in unanswered:
            place = StepKey(epoch=life.epoch, turn=turn, position=call.position)
            began = max(self.at, model_at.get(turn, self.at))
            yield self._step(call.kind, call.name, began, until, place, reason)

    def _step(
        self,
        kind: str,
        name: str,
        began: float,
        until: float | None,
        place: StepKey,
        reason: str = "",
    ) -> Bar:
        child = self.life.children.get((place.turn, place.position))
        began = began if until is None else min(began, until)
        return Bar(
            kind=_CALLS.get(kind, BarKind.TOOL),
            name=name,
            from_=_time(began),
            to=None if until is None else _time(until),
            step=place,
            instance=self.instance,
            reason=reason,
            child_run_id=child,
        )


_CALLS = {str(it): it for it in (BarKind.MODEL, BarKind.TOOL, BarKind.WORKER)}


def _turn(steps: Sequence[StepTime], until: float) -> int:
    """The turn of the last reply of the model until then; 0: there is none."""
    turns = (it.turn for it in steps if it.position == 0 and it.finished_at <= until)
    return max(turns, default=0)


def _bar(
    kind: BarKind,
    began: float,
    until: float | None,
    *,
    instance: str | None = None,
    reason: str = "",
) -> Bar:
    return Bar(
        kind=kind,
        name="",
        from_=_time(began),
        to=None if until is None else _time(until),
        step=None,
        instance=instance,
        reason=reason,
        child_run_id=None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(max(0.0, seconds), UTC)
