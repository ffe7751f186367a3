"""What the demo plays: scenes on a running house, and what each must lead to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from services.cli import client
from shared.broker.connection import Broker
from shared.contract import topology
from shared.contract.messages import Status, Task, Trigger, Usage
from shared.contract.rows import message_of, output_of, response_of
from shared.errors import HutchError
from shared.store import Store
from shared.store.messages.notes import recent
from shared.store.queries import reports
from shared.store.queries.reports import Row

SCENE_S = 25.0
"""For each thing that is waited for; all of them take some 20 s together."""
POLL_S = 0.1
MOST_RUNS = 1000
"""Far more than a demo has."""
YOU = "you"

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """One line of the play: `who` is who speaks to whom, or who does what."""

    at: datetime
    who: str
    text: str


@dataclass
class Stage:
    """`title` announces a scene, `tell` shows what was said in it."""

    broker: Broker
    store: Store
    title: Callable[[str], None]
    tell: Callable[[Said], None]

    async def play(self) -> None:
        """All scenes in order; raises `HutchError` naming the agent whose answer is missing."""
        await self._manager()
        await self._editor()
        await self._swarm()
        await self._nobody()
        self.title("Meanwhile, a schedule: the scheduler has woken Alice")
        await self._show(await self._run("alice", "trigger"))
        self.title("An autonomous tick: Tom, at rest, sums up what he has done")
        await self._show(await self._run("tom", "tick"))

    async def _manager(self) -> None:
        self.title("A manager and a worker: Alice sees Bob as a tool, and calls him by RabbitMQ")
        wish = "Ask Bob to write an email for you and let me know what he has written."
        await self._ask("alice", wish, expected="Subject:")

    async def _editor(self) -> None:
        self.title("A manager and three workers: split, work in parallel, check, merge")
        await self._ask("editor", "Write about message queues.", expected="The check:")

    async def _swarm(self) -> None:
        self.title("A swarm: what Tom answers, his peers remember and use; a trigger wakes Harry")
        await self._ask("tom", "How did the backups go last week?", expected="backups")
        for peer in ("richard", "harry"):
            await self._heard(peer, "From tom:")
        await self._ask("richard", "What should we do?", expected="Tom reported")
        await self._heard("harry", "From richard:")
        wake = client.message(Trigger, sender=YOU, content="What is the weak point?")
        await client.publish(self.broker, topology.TASKS, "harry", wake)
        await self._show(await self._run("harry", "trigger"))

    async def _nobody(self) -> None:
        self.title("A task to nobody is answered too")
        await self._ask("alcie", "Are you there?", expected="no agent 'alcie'", ends=Status.REFUSED)

    async def _ask(self, agent: str, text: str, *, expected: str, ends: Status = Status.OK) -> None:
        task = client.message(Task, sender=YOU, content=text)
        response = await client.ask(self.broker, agent, task, SCENE_S, lambda _: None)
        family = await self.store.read(lambda db: reports.family(db, task.id or ""))
        if family:
            await self._show(*family)
        else:  # nobody ran it: there is no run to read it from
            now = datetime.now(UTC)
            self.tell(Said(task.sent_at or now, f"{YOU} → {agent}", text))
            answer = f"{response.status}: {response.content}"
            self.tell(Said(now, f"{response.sender} → {YOU}", answer))
        if response.status is not ends or expected not in response.content:
            raise HutchError(
                f"the demo failed: {agent} answered '{response.status}: {response.content}' "
                f"where '{expected}' was expected"
            )

    async def _show(self, *rows: Row) -> None:
        """What was said in these runs, in the order of time."""
        agents = {row.task_id: row.agent for row in rows}
        said: list[Said] = []
        for row in rows:
            asker = agents.get(row.parent_id or "")
            said += await self._said(row, asker)
        for one in sorted(said, key=lambda one: one.at):
            self.tell(one)

    async def _said(self, row: Row, asker: str | None) -> list[Said]:
        texts = await self.store.read(lambda db: reports.texts(db, row.run_id))
        message = message_of(texts.message)
        asker = asker or _asker(row, message)
        said = [Said(row.claimed_at, f"{asker} → {row.agent}", message.content)]
        notes = texts.notes if row.kind != "tick" else ()
        said += [Said(row.claimed_at, f"{row.agent} remembers", note) for note in notes]
        for step in texts.steps:
            if step.kind == "tool":
                got = output_of(step.output).content or ""
                said.append(Said(step.finished_at, f"{row.agent} uses {step.name}", got))
        if texts.response and row.ended_at:
            hearer = asker if message.type == "task" else "the store"
            answer = response_of(texts.response).content
            said.append(Said(row.ended_at, f"{row.agent} → {hearer}", answer))
        return said

    async def _heard(self, agent: str, beginning: str) -> None:
        async def look() -> bool | None:
            remembered = await self.store.read(lambda db: recent(db, agent))
            return any(note.startswith(beginning) for note in remembered) or None

        await _until(look, f"{agent} has not heard '{beginning} …'")

    async def _run(self, agent: str, kind: str) -> Row:
        """The newest ended run of this kind."""

        seen: list[str] = []

        async def look() -> Row | None:
            rows = await self.store.read(lambda db: reports.newest(db, agent, None, MOST_RUNS))
            seen[:] = [f"{row.kind} {row.status}" for row in rows]
            ended = (row for row in rows if row.kind == kind and row.status == Status.OK)
            return next(ended, None)

        try:
            return await _until(look, f"{agent} has ended no {kind}")
        except HutchError as error:
            raise HutchError(f"{error}; its runs, newest first: {', '.join(seen)}") from error


async def _until(look: Callable[[], Awaitable[T | None]], otherwise: str) -> T:
    until = time.monotonic() + SCENE_S
    while time.monotonic() < until:
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(POLL_S)
    raise HutchError(f"the demo failed: within {SCENE_S:.0f} s, {otherwise}")


def _asker(row: Row, message: Task | Trigger) -> str:
    if message.type == "trigger" and message.schedule:
        return f"schedule '{message.schedule}'"
    return "tick" if row.kind == "tick" else message.sender or "somebody"


async def summary(store: Store) -> str:
    """What all that has ended by now has come to."""
    rows = await store.read(lambda db: reports.newest(db, None, None, MOST_RUNS))
    spent = Usage()
    for row in rows:
        if row.ended_at and row.parent_id is None:  # the workers' share is in it
            texts = await store.read(partial(reports.texts, run_id=row.run_id))
            spent += response_of(texts.response or "").usage
    tasks = sum(row.kind == "task" for row in rows)
    responses = sum(row.ended_at is not None for row in rows)
    return (
        f"{tasks} tasks, {len(rows) - tasks} triggers, {responses} responses, "
        f"{spent.model_calls} model calls"
    )
