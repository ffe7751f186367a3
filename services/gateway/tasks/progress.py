"""The happenings of a task's tree that a client has not received yet, from what the store says.

The tree is the run of the task, the runs of its workers, and theirs. Runs of peers that react to a
broadcast are not part of it: no response waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from services.gateway.tasks.happenings import RunChanged, StepDone
from services.gateway.tasks.place import KEY_CHARS, Place, RunPlace, fingerprint
from shared.contract.call_ids import Call, call_of
from shared.store.queries.progress import ApprovalProgress, RunProgress, StepProgress
from shared.store.schema import RunState


class Progress:
    """The happenings that one client has received.

    Each has the place after it, so that the client can go on behind any of them: nothing is lost
    then, and nothing comes twice.
    """

    def __init__(self, run_id: str, place: Place) -> None:
        self._root = run_id
        self._places = dict(place.runs)
        self._ended = place.ended
        self._runs: dict[str, RunProgress] = {}
        self._called: dict[Call, RunProgress] = {}
        self._calls: dict[str, Call] = {}
        """By the run that was called."""
        self._steps: dict[str, list[StepProgress]] = {}
        self._approvals: dict[str, list[ApprovalProgress]] = {}

    @property
    def place(self) -> str:
        return str(Place(self._places, self._ended))

    @property
    def run(self) -> RunProgress | None:
        """The followed run as it was read last; None before its task is claimed."""
        return self._runs.get(self._root)

    def end(self, epoch: int) -> str:
        """The place after the response."""
        self._ended = epoch
        return self.place

    def wanted(self, found: Sequence[RunProgress]) -> Mapping[str, int]:
        """The runs of the tree whose steps may be new, each with the turn to read from."""
        self._set_runs(found)
        open_or_new = (run for run in self._tree() if not self._is_over(run))
        return {run.run_id: self._place_of(run).turn for run in open_or_new}

    def news(
        self,
        found: Sequence[RunProgress],
        steps: Sequence[StepProgress],
        approvals: Sequence[ApprovalProgress] = (),
    ) -> Iterator[RunChanged | StepDone]:
        """The happenings since the last call, each after those that it includes."""
        self._set_runs(found)
        self._steps = {}
        for step in steps:
            self._steps.setdefault(step.run_id, []).append(step)
        self._approvals = {}
        for approval in approvals:
            self._approvals.setdefault(approval.run_id, []).append(approval)
        for run in self._tree():
            if not self._is_over(run):
                yield from self._of_run(run)

    def _of_run(self, run: RunProgress) -> Iterator[RunChanged | StepDone]:
        key, asked = run.run_id[:KEY_CHARS], self._approvals.get(run.run_id, ())
        if key not in self._places:
            status = RunState.RUNNING if run.ended_at else run.status
            approvals = () if run.ended_at else asked
            self._places[key] = RunPlace(fingerprint(run, status, approvals))
            yield self._changed(run, status, run.claimed_at, approvals)
        for step in self._steps.pop(run.run_id, []):
            if not self._places[key].has(step.turn, step.position):
                yield from self._of_step(run, step)
        state = fingerprint(run, None, asked)
        if self._places[key].state != state:
            at = run.ended_at or datetime.now(UTC)
            self._places[key] = replace(self._places[key], state=state)
            if run.ended_at and self._is_answered(run):
                del self._places[key]
            yield self._changed(run, run.status, at, asked)

    def _of_step(self, run: RunProgress, step: StepProgress) -> Iterator[RunChanged | StepDone]:
        """The step, after the run that it has called."""
        called = self._called.get(Call(run.run_id, step.turn, step.position))
        if called is not None:
            yield from self._of_run(called)
        key = run.run_id[:KEY_CHARS]
        self._places[key] = self._places[key].with_step(step.turn, step.position)
        if called is not None and called.ended_at:
            self._places.pop(called.run_id[:KEY_CHARS], None)
        yield StepDone(
            place=self.place,
            run_id=run.run_id,
            agent=run.agent,
            epoch=step.epoch,
            turn=step.turn,
            position=step.position,
            kind=step.kind,
            name=step.name,
            seconds=step.seconds,
            at=step.finished_at,
        )

    def _changed(
        self, run: RunProgress, status: str, at: datetime, approvals: Sequence[ApprovalProgress]
    ) -> RunChanged:
        return RunChanged(
            place=self.place,
            run_id=run.run_id,
            agent=run.agent,
            task_id=run.task_id,
            parent_id=run.parent_id,
            status=status,
            instance=run.owner,
            at=at,
            approvals=tuple(approvals),
        )

    def _set_runs(self, found: Sequence[RunProgress]) -> None:
        self._runs = {run.run_id: run for run in found}
        self._calls = {}
        for run in found:
            call = call_of(run.task_id)
            calling = self._runs.get(call.run_id) if call else None
            if call and calling and run.parent_id == calling.task_id:
                self._calls[run.run_id] = call
        self._called = {call: self._runs[run_id] for run_id, call in self._calls.items()}

    def _tree(self) -> Iterator[RunProgress]:
        """The followed run and those that it has caused by calls, each after its caller."""
        callees: dict[str, list[RunProgress]] = {}
        for call, run in self._called.items():
            callees.setdefault(call.run_id, []).append(run)
        waiting = [self._root]
        for run_id in waiting:  # the list grows during the iteration
            if (found := self._runs.get(run_id)) is not None:
                yield found
            waiting.extend(it.run_id for it in callees.get(run_id, ()))

    def _place_of(self, run: RunProgress) -> RunPlace:
        return self._places.get(run.run_id[:KEY_CHARS], RunPlace(""))

    def _is_over(self, run: RunProgress) -> bool:
        """Whether the client has received all of this run: its place isn't named any more."""
        return run.run_id[:KEY_CHARS] not in self._places and self._is_answered(run)

    def _is_answered(self, run: RunProgress) -> bool:
        """Whether the client has received the step that has called this run."""
        if run.run_id == self._root or (call := self._calls.get(run.run_id)) is None:
            return False
        run_id, turn, position = call
        key = run_id[:KEY_CHARS]
        if key in self._places:
            return self._places[key].has(turn, position)
        calling = self._runs.get(run_id)
        return calling is not None and self._is_answered(calling)
