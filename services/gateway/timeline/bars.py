"""The bars of one run in the timeline of its tree, computed from its row, steps and marks.

A run alternates between two phases: a process computes it, or it waits for one. A mark begins each
phase but the first. The steps that finish in a computing phase are its bars; what was in progress
at its end is one too. A step that was recorded by an earlier version has no length: its bar begins
where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.gateway.timeline.bar import Bar, BarKind, StepKey, span, time_of
from shared.contract.messages import ANSWERED
from shared.store.processes.heartbeats import DEAD_AFTER_S
from shared.store.queries.timeline import MarkRow, StepTime
from shared.store.runs.marks import MarkKind
from shared.store.schema import RunState

LEAST_S = 0.02
"""A shorter wait, or a shorter call without a result, is no bar."""


class PlannedCall(NamedTuple):
    """A call in a model's reply."""

    position: int
    kind: BarKind
    name: str


class AskedCall(NamedTuple):
    """A call that needed approval; times are in seconds. `decision` says what came of it."""

    epoch: int
    turn: int
    position: int
    name: str
    asked_at: float
    decided_at: float | None
    decision: str


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
    asked: Sequence[AskedCall] = ()


class _Open(NamedTuple):
    """A call without a result."""

    turn: int
    call: PlannedCall
    began: float

    @property
    def place(self) -> tuple[int, int]:
        return self.turn, self.call.position

    def key(self, life: Life) -> StepKey:
        return StepKey(epoch=life.epoch, turn=self.turn, position=self.call.position)


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
        self.model_at: dict[int, float] = {}
        """When the model has replied in each turn."""
        self.parked: dict[tuple[int, int], _Open] = {}
        """The calls of workers that the run was parked with, by turn and position."""

    def bars(self) -> Iterator[Bar]:
        life = self.life
        if life.sent_at is not None and life.sent_at < life.claimed_at:
            yield span(BarKind.QUEUED, life.sent_at, life.claimed_at)
        for mark in life.marks:
            yield from self._until(mark)
        if life.ended_at is None and self.wait is None:
            self.instance = life.owner or self.instance
        reason = "" if life.ended_at is None else f"no result: the run ended as {life.status}"
        yield from self._close(self._ended_at(), reason, answered=life.status in ANSWERED)
        self.instance = None
        for asked in life.asked:
            until = asked.decided_at or self._ended_at()
            place = StepKey(epoch=asked.epoch, turn=asked.turn, position=asked.position)
            yield self._step(
                BarKind.APPROVAL, asked.name, asked.asked_at, until, place, asked.decision
            )

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
                    yield span(BarKind.RESUMED, mark.at, mark.at, instance=mark.instance)
            case MarkKind.TAKEN_OVER:
                dead = self.instance = mark.reason or None
                died_at = max(self._active_at(mark.at), mark.at - DEAD_AFTER_S)
                yield from self._close(died_at, f"{dead or 'its process'} has died")
                by = f"taken over by {mark.instance}"
                yield span(BarKind.DEAD, died_at, mark.at, instance=dead, reason=by)
                self._compute(mark)
                yield span(BarKind.RESUMED, mark.at, mark.at, instance=mark.instance, reason=by)
            case MarkKind.POSTPONED:
                self.instance = mark.instance or self.instance
                yield from self._close(mark.at, mark.reason)
                self._wait(mark.at, BarKind.POSTPONED, mark.reason)
            case MarkKind.HANDED_OVER:
                self.instance = mark.instance or self.instance
                why = f"handed over by {mark.instance}"
                yield from self._close(mark.at, why)
                self._wait(mark.at, BarKind.PARKED, why)
            case MarkKind.PARKED:
                self.instance = mark.instance or self.instance
                yield from self._computed(mark.at, "", answered=True)
                calls = self._unanswered(mark.at)
                self.parked = {it.place: it for it in calls if it.call.kind is BarKind.WORKER}
                parked_with = "a worker of it is parked" if self.parked else ""
                self._wait(mark.at, BarKind.APPROVAL, parked_with)
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
        if kind is BarKind.APPROVAL:
            yield from self._parked(reason, until)
            return
        if kind is BarKind.SLOT and at == self.life.claimed_at and not_before and not_before > at:
            late = until is None or not_before < until
            delayed_to = not_before if late else until
            yield span(BarKind.POSTPONED, at, delayed_to, reason="its task starts no earlier")
            at = not_before if late else at
            if not late:
                return
        if kind is BarKind.SLOT and self.life.session:
            reason = reason or f"for a slot, or for its turn in session {self.life.session}"
        if until is None or until - at >= LEAST_S:
            yield span(kind, at, until, reason=reason)

    def _parked(self, reason: str, until: float | None) -> Iterator[Bar]:
        """The bars of a parked phase; the requests for approval have bars of their own."""
        if until is None or until == self._ended_at():
            for it in self.parked.values():
                yield self._step(it.call.kind, it.call.name, it.began, until, it.key(self.life))
        if reason:
            yield span(BarKind.PARKED, self.at, until, reason=reason)
        decisions = [it.decided_at for it in self.life.asked if self._waits_at(it, self.at)]
        due_at = min((it for it in decisions if it is not None), default=None)
        if due_at is not None and (until is None or until - due_at >= LEAST_S):
            yield span(BarKind.SLOT, due_at, until)

    @staticmethod
    def _waits_at(asked: AskedCall, at: float) -> bool:
        """Whether this call waited for a decision at a time."""
        return asked.asked_at <= at and (asked.decided_at is None or asked.decided_at >= at)

    def _unanswered(self, until: float) -> list[_Open]:
        """The calls of the last turn that have no result, without those that wait for a decision;
        `until` is the end of a phase."""
        done = self.life.steps[: self.seen]
        turn = _turn(done, float("inf"))
        finished = {it.position for it in done if it.turn == turn}
        waits = {(it.turn, it.position) for it in self.life.asked if self._waits_at(it, until)}
        began = max(self.at, self.model_at.get(turn, self.at))
        return [
            self.parked.get((turn, call.position)) or _Open(turn, call, began)
            for call in self.life.calls.get(turn, ())
            if call.position not in finished and (turn, call.position) not in waits
        ]

    def _computed(self, until: float | None, reason: str, *, answered: bool) -> Iterator[Bar]:
        steps, before, life = self.life.steps, self.at, self.life
        while self.seen < len(steps):
            step = steps[self.seen]
            if until is not None and step.finished_at > until:
                break
            self.seen += 1
            replied_at = max(self.at, self.model_at.get(step.turn, self.at))
            began = before if step.position <= 0 else replied_at
            if step.seconds is not None:
                began = step.finished_at - step.seconds
            if open_call := self.parked.pop((step.turn, step.position), None):
                began = open_call.began
            place = StepKey(epoch=step.epoch, turn=step.turn, position=step.position)
            yield self._step(step.kind, step.name, began, step.finished_at, place)
            before = max(before, step.finished_at)
            if step.position == 0:
                self.model_at[step.turn] = step.finished_at
        if answered:
            return
        unanswered = self._unanswered(float("inf") if until is None else until)
        if not unanswered:
            if until is None or until - before >= LEAST_S:
                turn = _turn(steps[: self.seen], float("inf"))
                place = StepKey(epoch=life.epoch, turn=turn + 1, position=0)
                yield self._step(BarKind.MODEL, "turn", before, until, place, reason)
            return
        for it in unanswered:
            yield self._step(it.call.kind, it.call.name, it.began, until, it.key(life), reason)

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
            from_=time_of(began),
            to=None if until is None else time_of(until),
            step=place,
            instance=self.instance,
            reason=reason,
            child_run_id=child,
        )


_CALLS = {str(it): it for it in (BarKind.MODEL, BarKind.TOOL, BarKind.WORKER, BarKind.APPROVAL)}


def _turn(steps: Sequence[StepTime], until: float) -> int:
    """The turn of the last reply of the model until then; 0: there is none."""
    turns = (it.turn for it in steps if it.position == 0 and it.finished_at <= until)
    return max(turns, default=0)
