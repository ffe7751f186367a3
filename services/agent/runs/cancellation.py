"""Cancellation: stopping a run's loop, and the end of a run that was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.agent.llm.chat import Completion
from services.agent.loop.calls import cancelled_call
from services.agent.loop.journal import StepKey, StepKind, parse_output
from services.agent.loop.snapshot import restore_snapshot
from services.agent.loop.tool_calls import kinds_by_name
from services.agent.loop.work import Outcome
from services.agent.runs.ending import Ended
from services.agent.runs.store_journal import StoredJournal
from shared.contract.messages import Status
from shared.errors import DamagedRow, JournalMismatch, RunCancelled
from shared.store import Store
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, steps_of


@dataclass
class CancelScope:
    """The time limit of one loop. A cancel makes it expire at once."""

    limit: asyncio.Timeout
    cancelled: bool = False

    def left_s(self) -> float:
        """Seconds until the run's deadline."""
        return (self.limit.when() or 0.0) - asyncio.get_running_loop().time()


@dataclass
class CancelScopes:
    """The scopes of the loops that run in this process, by run."""

    _open: dict[str, CancelScope] = field(default_factory=dict)
    """By run id. If this process has taken a run over from itself, the scope of its newer loop."""

    @asynccontextmanager
    async def open(self, run: Run, left_s: float) -> AsyncIterator[CancelScope]:
        """Raises `TimeoutError` after `left_s`, `RunCancelled` if the run is cancelled before."""
        scope = self._open[run.run_id] = CancelScope(asyncio.timeout(left_s))
        try:
            async with scope.limit:
                yield scope
        except TimeoutError:
            if scope.cancelled:
                raise RunCancelled(f"run {run.run_id} was cancelled") from None
            raise
        finally:
            if self._open.get(run.run_id) is scope:
                del self._open[run.run_id]

    def cancel(self, run_id: str) -> None:
        """Stop a run's loop at once. A run without a loop here is ended by a later poll."""
        scope = self._open.get(run_id)
        if scope is not None and not scope.limit.expired():
            scope.cancelled = True
            scope.limit.reschedule(asyncio.get_running_loop().time())


async def cancelled_end(store: Store, run: Run) -> Ended:
    """The end of a cancelled run, computed after any step of it that is still being committed.

    Each call without an answer gets one, so that the journal remains a valid conversation; calls
    to workers among them are the orphans. Raises `RunLost` and the store's errors.
    """
    steps = await store.write(run.run_id, lambda connection: steps_of(connection, run))
    usage = StoredJournal(store, run, steps).usage()
    outcome = Outcome(status=Status.CANCELLED, content="cancelled", usage=usage)
    try:
        calls = list(_open_calls(run, steps))
    except (DamagedRow, JournalMismatch):  # the journal is invalid: no process will resume it
        return Ended(outcome)
    answers = (Step(key.turn, key.index, kind, name, cancelled_call()) for key, kind, name in calls)
    orphans = (
        (name, key.step_id(run.run_id, run.nonce)) for key, kind, name in calls if kind == "worker"
    )
    return Ended(outcome, tuple(answers), tuple(orphans))


def _open_calls(run: Run, steps: Sequence[Step]) -> Iterator[tuple[StepKey, StepKind, str]]:
    """The calls of the last turn that have no answer; all calls of earlier turns have one."""
    turn, output = max(((it.turn, it.output) for it in steps if it.position == 0), default=(0, ""))
    if not turn:
        return
    snapshot = restore_snapshot(run.definition)
    kinds = kinds_by_name(snapshot.tools, snapshot.workers)
    answered = {it.position for it in steps if it.turn == turn}
    reply = parse_output(Completion, StepKey(turn, 0), output)
    for index, call in enumerate(reply.tool_calls, 1):
        if index not in answered and call.name in kinds:
            yield StepKey(turn, index), kinds[call.name], call.name
