"""A loop with a scripted model, and a piece of work: shared by the loop's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.agent.llm.chat import Completion, ToolResult, ToolSpec
from services.agent.loop.journal import MemoryJournal, StepKey, StepKind
from services.agent.loop.loop import no_deadline, run
from services.agent.loop.tool_calls import WorkerSpec
from services.agent.loop.work import Outcome, Stream, Work
from shared.contract.messages import Task, Trigger
from shared.contract.prompts import QUOTED_RULE, unquoted
from shared.definitions.approval import ApprovalRule
from shared.definitions.functions import JsonObject
from shared.definitions.guardrails import Guardrails
from shared.definitions.model import Definition, Limits
from shared.errors import ModelError, RunLost
from tests.support.model.doubles import ScriptedModel, ScriptedTools, ScriptedWorkers

NOW = datetime(2026, 5, 4, 9, 30, 59, tzinfo=UTC)
CLOCK = "\n\nIt is 2026-05-04 09:30 UTC."
SYSTEM = f"You are Alice.\n\n{QUOTED_RULE}"
BOB = '{"prompt": "write"}'


def work(
    message: Task | Trigger | None = None,
    *,
    tools: tuple[str, ...] = ("lookup", "search"),
    notes: tuple[str, ...] = (),
    turns: int = 10,
    preamble: str = "You are Alice.",
    output: JsonObject | None = None,
    approvals: Mapping[str, ApprovalRule] = {},
    guardrails: JsonObject | None = None,
) -> Work:
    rules = Guardrails.model_validate(guardrails) if guardrails else None
    limits = Limits(turns=turns)
    return Work(
        run_id="run",
        definition=Definition(name="alice", preamble=preamble, limits=limits).model_copy(
            update={"guardrails": rules}
        ),
        message=message or Task(content="Do it."),
        notes=notes,
        now=NOW,
        output=output,
        workers=(
            WorkerSpec(name="bob", description="Writes.", approval=approvals.get("bob")),
            WorkerSpec(name="carol", description="Checks."),
        ),
        tools=tuple(
            ToolSpec(
                name=it,
                description="",
                parameters={},
                repeatable=it != "pay",
                approval=approvals.get(it),
            )
            for it in tools
        ),
    )


def _lookup(arguments: JsonObject) -> str:
    return f"found {arguments.get('order', 'nothing')}"


def _search(arguments: JsonObject) -> str:
    raise ValueError("search failed: no index")


@dataclass
class ScriptedLoop:
    """A model with its script, and everything else that a run needs."""

    model: ScriptedModel
    tools: ScriptedTools = field(
        default_factory=lambda: ScriptedTools(
            {"lookup": _lookup, "search": _search, "pay": _lookup}
        )
    )
    workers: ScriptedWorkers = field(default_factory=ScriptedWorkers)
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    left_s: Callable[[], float] = no_deadline
    stream: Stream | None = None
    checking: ScriptedModel = field(default_factory=ScriptedModel)
    """The model of checks."""

    async def run(self, it: Work | None = None) -> Outcome:
        return await run(
            it or work(),
            self.model,
            self.tools,
            self.workers,
            self.journal,
            self.left_s,
            self.stream,
            lambda _: self.checking,
        )

    @property
    def results(self) -> list[str]:
        """The tool results in the last history that the model was shown."""
        return [unquoted(it.content) for it in self.model.seen[-1] if isinstance(it, ToolResult)]

    @property
    def performed(self) -> set[tuple[str, str]]:
        """The calls that were begun, by kind and name."""
        workers = {line.partition(":")[0] for line in self.workers.log} - {"waiting", "back"}
        tools = {name for name, _ in self.tools.log}
        return {("tool", name) for name in tools} | {("worker", name) for name in workers}


def scripted_loop(*script: Completion | ModelError) -> ScriptedLoop:
    return ScriptedLoop(ScriptedModel(*script))


class DyingJournal(MemoryJournal):
    """Commits `lives` more steps; then the process dies before or after the commit."""

    def __init__(self, journal: MemoryJournal, lives: int, *, after: bool) -> None:
        super().__init__(journal.steps)
        self.lives, self.after = lives, after

    async def record(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        self.record_at_end(key, kind, name, output)

    def record_at_end(self, key: StepKey, kind: StepKind, name: str, output: str) -> None:
        self.lives -= 1
        if self.lives >= 0 or self.after:
            super().record_at_end(key, kind, name, output)
        if self.lives < 0:
            self.lost = True
            raise RunLost("killed")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # nothing there sets an event
            await asyncio.sleep(0)
