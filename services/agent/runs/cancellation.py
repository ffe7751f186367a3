"""A run that is not wanted any more: how its job is stopped, and what its end has to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.agent.llm.chat import Completion
from services.agent.loop.journal import Kind, StepKey, output_as
from services.agent.loop.loop import cancelled_call
from services.agent.loop.snapshot import thawed
from services.agent.loop.tool_calls import kinds_of
from services.agent.runs.store_journal import StoredJournal
from shared.contract.messages import Usage
from shared.errors import DamagedRow, JournalMismatch, RunCancelled
from shared.store import Store
from shared.store.runs.run import Run
from shared.store.runs.steps import Step, steps_of


@dataclass
class _Scope:
    """One loop; another of the same run, taken back from ourselves, has one of its own."""

    limit: asyncio.Timeout
    cancelled: bool = False


@dataclass
class Scopes:
    """The loops that this process turns, so that a cancel can stop one of them."""

    _open: dict[str, _Scope] = field(default_factory=dict)

    @asynccontextmanager
    async def until(self, run: Run, left_s: float) -> AsyncIterator[None]:
        """Raises `TimeoutError` after `left_s`, `RunCancelled` when the run is cancelled first."""
        scope = self._open[run.run_id] = _Scope(asyncio.timeout(left_s))
        try:
            async with scope.limit:
                yield
        except TimeoutError:
            if scope.cancelled:
                raise RunCancelled(f"run {run.run_id} was cancelled") from None
            raise
        finally:
            if self._open.get(run.run_id) is scope:
                del self._open[run.run_id]

    def left_s(self, run_id: str) -> float:
        """Until the deadline of a run whose loop turns; of any other, nothing."""
        scope = self._open.get(run_id)
        when = scope.limit.when() if scope else None
        return (when or 0.0) - asyncio.get_running_loop().time()

    def cancel(self, run_id: str) -> None:
        """Stop a run's loop at once; one that is not turning now is left to the next look."""
        scope = self._open.get(run_id)
        if scope is not None and not scope.limit.expired():
            scope.cancelled = True
            scope.limit.reschedule(asyncio.get_running_loop().time())


@dataclass(frozen=True)
class Left:
    """What a cancelled run leaves: what it has cost, answers for its open calls, its orphans."""

    usage: Usage = field(default_factory=Usage)
    answers: tuple[Step, ...] = ()
    orphans: tuple[tuple[str, str], ...] = ()


async def wind_up(store: Store, run: Run) -> Left:
    """Read what is left, after the step that may just be on its way to the store.

    Each open call gets an answer, so that the journal stays a valid conversation; each worker
    among them is an orphan, as (agent, task's id).
    """
    steps = await store.write(run.run_id, lambda connection: steps_of(connection, run))
    usage = StoredJournal(store, run, steps).usage()
    try:
        calls = list(_open_calls(run, steps))
    except (DamagedRow, JournalMismatch):  # nobody goes on with it anyway
        return Left(usage)
    answers = (Step(key.turn, key.index, kind, name, cancelled_call()) for key, kind, name in calls)
    orphans = (
        (name, key.in_run(run.run_id, run.nonce)) for key, kind, name in calls if kind == "worker"
    )
    return Left(usage, tuple(answers), tuple(orphans))


def _open_calls(run: Run, steps: Sequence[Step]) -> Iterator[tuple[StepKey, Kind, str]]:
    """The calls of the last turn that have no answer yet; those of earlier turns all have one."""
    turn, reply = max(((it.turn, it.output) for it in steps if it.position == 0), default=(0, ""))
    if not turn:
        return
    snapshot = thawed(run.definition)
    kinds = kinds_of(snapshot.tools, snapshot.workers)
    answered = {it.position for it in steps if it.turn == turn}
    said = output_as(Completion, StepKey(turn, 0), reply)
    for index, call in enumerate(said.tool_calls, 1):
        if index not in answered and call.name in kinds:
            yield StepKey(turn, index), kinds[call.name], call.name
