"""Runs as the API lists them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shared.contract.call_ids import call_of
from shared.store.queries.model_calls import Relative
from shared.store.queries.reports import Row


class RunRow(BaseModel):
    """A run in a list."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    run_id: str
    agent: str
    task_id: str
    kind: str = Field(description="task, trigger, reaction or tick")
    status: str = Field(description="its state while it is open, then how it ended")
    root_id: str = Field(description="the id of the message that its tree began with")
    parent_id: str | None = Field(description="the id of the task that caused it")
    attempts: int = Field(description="processes that died on it since its last finished step")
    claimed_at: datetime
    ended_at: datetime | None
    due_at: datetime | None = Field(description="set while it is due")
    session: str | None
    text: str = Field(description="the beginning of its message's text")
    priority: str


def row_of(row: Row) -> RunRow:
    return RunRow.model_validate(row)


class Parents:
    """The causes of the runs of one tree."""

    def __init__(self, family: Sequence[Relative | Row]) -> None:
        self._by_id = {it.run_id: it for it in family}
        self._by_task: dict[str, Relative | Row] = {}
        for it in family:
            self._by_task.setdefault(it.task_id, it)

    def parent(self, run: Relative | Row) -> tuple[str, tuple[int, int] | None] | None:
        """The run that has caused this one, with the turn and position of its call; None if it is
        the first, or if its parent is no longer in the store."""
        if run.parent_id is None:
            return None
        call = call_of(run.task_id)
        caller = self._by_id.get(call.run_id) if call else None
        if call and caller and caller.task_id == run.parent_id:
            return caller.run_id, (call.turn, call.position)
        named = self._by_task.get(run.parent_id)
        return (named.run_id, None) if named and named.run_id != run.run_id else None

    def root(self, run: Relative | Row) -> str:
        """The id of the first run above this one."""
        seen = {run.run_id}
        while (above := self.parent(run)) and above[0] not in seen:
            seen.add(above[0])
            run = self._by_id[above[0]]
        return run.run_id

    def below(self, run_id: str) -> set[str]:
        """The ids of all runs that a run has caused."""
        caused: dict[str, list[str]] = {}
        for it in self._by_id.values():
            if above := self.parent(it):
                caused.setdefault(above[0], []).append(it.run_id)
        found, waiting = set[str](), [run_id]
        while waiting:
            new = [it for it in caused.get(waiting.pop(), ()) if it not in found and it != run_id]
            found.update(new)
            waiting += new
        return found
