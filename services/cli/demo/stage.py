"""The stage of a demo: a running system, whose runs are shown, with the outcomes that must come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from services.cli.options import message
from shared.broker.connection import Broker
from shared.client.ask import ask
from shared.contract.approvals import ApprovalState
from shared.contract.messages import Status, Task, Trigger, Usage
from shared.contract.rows import message_of, output_of, response_of
from shared.errors import HutchError
from shared.store import Store
from shared.store.messages.notes import recent
from shared.store.queries import reports
from shared.store.queries.approvals import ApprovalFilter, listed
from shared.store.queries.reports import Row, RunFilter
from shared.store.queries.texts import run_texts
from shared.store.runs.approvals import Approval, decide

SCENE_S = 25.0
"""The time limit for each outcome; all scenes together take about 20 s."""
POLL_S = 0.1
MOST_RUNS = 1000
"""The most runs that are read, far more than a demo has."""
YOU = "you"

T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """A line of the demo. `subject` is a message's sender → receiver, or an agent's action."""

    at: datetime
    subject: str
    text: str


@dataclass
class Stage:
    """Calls `title` at a scene's start, and `show` with its lines at its end.

    Its methods raise `HutchError` with the name of an agent that did not answer as expected.
    """

    broker: Broker
    store: Store
    title: Callable[[str], None]
    show: Callable[[Line], None]

    async def ask(self, agent: str, text: str, *, expected: str, ends: Status = Status.OK) -> None:
        task = message(Task, sender=YOU, content=text)
        response = await ask(self.broker, agent, task, SCENE_S, lambda _: None)
        rows = await self.store.read(lambda db: reports.family(db, task.id or ""))
        if rows:
            await self.show_runs(*rows)
        else:  # a refused task has no run: its lines come from the messages
            now = datetime.now(UTC)
            self.show(Line(task.sent_at or now, f"{YOU} → {agent}", text))
            answer = f"{response.status}: {response.content}"
            self.show(Line(now, f"{response.sender} → {YOU}", answer))
        if response.status is not ends or expected not in response.content:
            raise HutchError(
                f"the demo failed: {agent} answered '{response.status}: {response.content}' "
                f"where '{expected}' was expected"
            )

    async def approve(self, tool: str) -> None:
        """Wait until a call of this tool waits for approval, and approve it."""

        async def poll() -> Approval | None:
            found = await self.store.read(lambda db: listed(db, ApprovalFilter(), 1))
            return next((it for it in found if it.name == tool), None)

        asked = await until(poll, f"no call of {tool} has waited for approval")
        approve = partial(
            decide, approval_id=asked.approval_id, decision=ApprovalState.APPROVED, by=YOU
        )
        await self.store.write(asked.run_id, approve)

    async def show_runs(self, *rows: Row) -> None:
        """Show the lines of these runs, ordered by time."""
        agents = {row.task_id: row.agent for row in rows}
        lines: list[Line] = []
        for row in rows:
            lines += await self._lines(row, agents.get(row.parent_id or ""))
        for line in sorted(lines, key=lambda line: line.at):
            self.show(line)

    async def _lines(self, row: Row, manager: str | None) -> list[Line]:
        stored = await self.store.read(lambda db: run_texts(db, row.run_id))
        received = message_of(stored.message)
        asker = manager or _asker(row, received)
        lines = [Line(row.claimed_at, f"{asker} → {row.agent}", received.content)]
        notes = stored.notes if row.kind != "tick" else ()
        lines += [Line(row.claimed_at, f"{row.agent} remembers", note) for note in notes]
        for step in stored.steps:
            if step.kind == "tool":
                result = output_of(step.output).content or ""
                lines.append(Line(step.finished_at, f"{row.agent} uses {step.name}", result))
        of_run = ApprovalFilter(pending=False, run_id=row.run_id)
        for asked in await self.store.read(lambda db: listed(db, of_run, MOST_RUNS)):
            lines += _approval(asked)
        if stored.response and row.ended_at:
            receiver = asker if received.type == "task" else "the store"
            answer = response_of(stored.response).content
            lines.append(Line(row.ended_at, f"{row.agent} → {receiver}", answer))
        return lines

    async def noted(self, agent: str, beginning: str) -> None:
        """Wait until the agent has a note with this beginning."""

        async def poll() -> bool | None:
            notes = await self.store.read(lambda db: recent(db, agent))
            return any(it.startswith(beginning) for it in notes) or None

        await until(poll, f"{agent} has no note '{beginning} …'")

    async def ended(self, agent: str, kind: str) -> Row:
        """Wait until a run of this kind has ended `ok`; returns the newest."""
        seen: list[str] = []
        wanted = RunFilter(agent=agent)

        async def poll() -> Row | None:
            rows = await self.store.read(lambda db: reports.newest(db, wanted, MOST_RUNS))
            seen[:] = [f"{row.kind} {row.status}" for row in rows]
            ended = (row for row in rows if row.kind == kind and row.status == Status.OK)
            return next(ended, None)

        try:
            return await until(poll, f"{agent} has ended no {kind}")
        except HutchError as error:
            raise HutchError(f"{error}; its runs, newest first: {', '.join(seen)}") from error


def _approval(asked: Approval) -> Iterator[Line]:
    """A call that waited for approval, and the decision, with the commands for them."""
    call = f"{asked.approval_id}: {asked.agent} wants {asked.name} {asked.arguments}"
    yield Line(datetime.fromtimestamp(asked.asked_at, UTC), "hutch approvals", call)
    if asked.decided_at is not None:
        decision = f"{asked.state} by {asked.decided_by}"
        at = datetime.fromtimestamp(asked.decided_at, UTC)
        yield Line(at, f"hutch approve {asked.approval_id}", decision)


async def until(poll: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    until = time.monotonic() + SCENE_S
    while time.monotonic() < until:
        if (found := await poll()) is not None:
            return found
        await asyncio.sleep(POLL_S)
    raise HutchError(f"the demo failed: within {SCENE_S:.0f} s, {otherwise}")


def _asker(row: Row, received: Task | Trigger) -> str:
    if received.type == "trigger" and received.schedule:
        return f"schedule '{received.schedule}'"
    return "tick" if row.kind == "tick" else received.sender or "a client"


async def summary(store: Store) -> str:
    """A line with the number of tasks, triggers, responses and model calls so far."""
    rows = await store.read(lambda db: reports.newest(db, RunFilter(), MOST_RUNS))
    spent = Usage()
    for row in rows:
        if row.ended_at and row.parent_id is None:  # a root's usage includes its workers'
            texts = await store.read(partial(run_texts, run_id=row.run_id))
            spent += response_of(texts.response or "").usage
    tasks = sum(row.kind == "task" for row in rows)
    responses = sum(row.ended_at is not None for row in rows)
    return (
        f"{tasks} tasks, {len(rows) - tasks} triggers, {responses} responses, "
        f"{spent.model_calls} model calls"
    )
