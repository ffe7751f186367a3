"""Stand-ins for what is outside the loop, used by the tests of more than one module."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.agent.llm.chat import ChatMessage, Completion, OnText, Request, ToolCall
from services.agent.loop.approvals import ParkedWorker
from services.agent.loop.journal import StepKey
from shared.contract.messages import Budget, Response, Status, Usage
from shared.definitions.functions import JsonObject
from shared.errors import HutchError, ToolError

COST = Usage(model_calls=1, input_tokens=10, output_tokens=5)


def says(
    content: str | None, finish_reason: str = "stop", refusal: str | None = None
) -> Completion:
    return Completion(
        content=content, finish_reason=finish_reason, refusal=refusal, usage=COST, model="scripted"
    )


def calls(*asked: tuple[str, str], finish_reason: str = "tool_calls") -> Completion:
    """A completion that calls tools by name and raw arguments, all under one id."""
    made = tuple(ToolCall(id="same", name=name, arguments=arguments) for name, arguments in asked)
    return Completion(tool_calls=made, finish_reason=finish_reason, usage=COST, model="scripted")


class ScriptedModel:
    """Says what it was given, in order; remembers what it was shown. Out of lines, it fails."""

    def __init__(self, *script: Completion | HutchError) -> None:
        self.script = list(script)
        self.seen: list[tuple[ChatMessage, ...]] = []
        self.offered: list[tuple[str, ...]] = []
        self.limits: list[int | None] = []
        self.schemas: list[JsonObject | None] = []
        self.streamed: list[bool] = []

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        self.limits.append(request.most_tokens)
        self.schemas.append(request.answer_schema)
        self.streamed.append(on_text is not None)
        self.seen.append(tuple(request.history))
        self.offered.append(tuple(it.name for it in request.tools if request.call_tools))
        said = self.script[len(self.seen) - 1]
        if isinstance(said, HutchError):
            raise said
        if on_text and said.content:
            on_text(said.content)
        return said


@dataclass
class ScriptedTools:
    """Tools by name; `log` holds the calls in the order in which they began."""

    tools: dict[str, Callable[[JsonObject], str]] = field(default_factory=dict)
    log: list[tuple[str, JsonObject]] = field(default_factory=list)

    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        self.log.append((name, arguments))
        await asyncio.sleep(0)
        try:
            return self.tools[name](arguments)
        except ValueError as error:
            raise ToolError(str(error)) from error


@dataclass
class ScriptedWorkers:
    """Workers that answer each prompt, or hold it until `gates` opens for the worker.

    `log` tells what happened in order: asks, `waiting` and `back`.
    """

    status: dict[str, Status] = field(default_factory=dict)
    gates: dict[str, asyncio.Event] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    budgets: dict[StepKey, Budget] = field(default_factory=dict)
    reserves: dict[StepKey, float] = field(default_factory=dict)
    cost: Usage = COST
    parked: set[str] = field(default_factory=set)
    """The workers whose runs wait for a person's decision."""

    async def ask(
        self,
        key: StepKey,
        worker: str,
        prompt: str,
        context: str | None,
        budget: Budget,
        reserve_s: float,
    ) -> Response | ParkedWorker:
        self.budgets[key] = budget
        self.reserves[key] = reserve_s
        self.log.append(f"{worker}: {prompt}" + (f" ({context})" if context else ""))
        if worker in self.gates:
            await self.gates[worker].wait()
        if worker in self.parked:
            return ParkedWorker(f"the run of {worker}")
        status = self.status.get(worker, Status.OK)
        return Response(
            task_id=f"{key.turn}.{key.index}",
            agent=worker,
            status=status,
            content=f"{worker} on {prompt}",
            usage=self.cost,
        )

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        self.log.append("waiting")
        yield
        self.log.append("back")
