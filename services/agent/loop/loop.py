"""The loop: query the model, execute what it asks for, append the answers, repeat.

Everything outside comes in as a protocol: no broker, HTTP, SQL, environment or clock here.
The history is a pure function of `Work` and the recorded steps, so a run that was cut off
goes on in any other process without repeating what had finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from pydantic_core import to_json

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    Model,
    Text,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.loop.budget import is_spent, remaining, shares
from services.agent.loop.endings import End, refusal, reply_end
from services.agent.loop.journal import Journal, Kind, StepKey, output_as
from services.agent.loop.prompt import opening
from services.agent.loop.tool_calls import Ask, kinds_of, read
from services.agent.loop.work import Outcome, Work
from shared.contract.messages import Budget, Frozen, Response, Status, Usage
from shared.definitions.functions import JsonObject
from shared.definitions.results import capped
from shared.errors import ModelError, ModelUnavailable, ToolError

NUDGE = "Your last reply was empty. Answer, or call a tool."
CONCLUDE = (
    "You have no more turns and can call no more tools. "
    "Give your best answer now, from what you know, and say what is missing."
)
CANCELLED = "Cancelled before it came to an answer."
CUT_OFF = "Not run: your reply was cut off at its length limit. Make fewer or shorter calls."

NOT_ASKED = "Not asked: the budget is spent. Answer from what you know."


class Workers(Protocol):
    async def ask(
        self, key: StepKey, worker: str, prompt: str, context: str | None, budget: Budget
    ) -> Response:
        """A worker's one response. Asked again under the same key, it is the same.

        `budget` is what it and all that it causes may spend; its usage says no more than that.
        Calls run side by side. No response in time, or no such worker, is a response too.
        """

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """Entered while nothing but workers is awaited: the run needs no slot meanwhile."""


class Tools(Protocol):
    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        """A tool's result. Raises `ToolError` with text for the model."""


class _Answer(Frozen):
    """What a call came to: the output of a tool's or worker's step."""

    content: Text
    status: Status = Status.OK
    usage: Usage = Usage()
    detail: Text | None = None
    """For the operator only: the trace of a tool that raised."""

    def output(self) -> str:
        """What is recorded; without a detail as earlier versions write and read it."""
        return self.model_dump_json(exclude_none=True)


class _Call(NamedTuple):
    """A call that can be carried out."""

    key: StepKey
    kind: Kind
    name: str
    perform: Callable[[], Coroutine[None, None, _Answer]]
    once: str | None = None
    """The arguments of a call that must not be made twice."""


async def run(
    work: Work, model: Model, tools: Tools, workers: Workers, journal: Journal
) -> Outcome:
    """From the task to its outcome; every end but three is an outcome.

    Raises `RunLost` when another instance has taken the run, `JournalMismatch` when the
    journal tells of another run than this, `ModelUnavailable` when the same run can go on
    later from the steps that have finished; and what the journal's store raises.
    """
    loop = _Loop(work, model, tools, workers, journal)
    try:
        turn = 1
        while (end := await loop.limit(turn)) is None:
            completion = await loop.query(turn)
            if end := reply_end(completion, nudged=loop.nudged):
                break
            await loop.keep()
            loop.append(turn, completion, await loop.execute(turn, completion))
            turn += 1
        return loop.outcome(end)
    except ModelUnavailable:
        raise
    except ModelError as error:
        return loop.outcome(End(Status.FAILED, error.public, str(error)))


@dataclass
class _Loop:
    work: Work
    model: Model
    tools: Tools
    workers: Workers
    journal: Journal
    usage: Usage = field(default_factory=Usage)
    speaker: str | None = None
    fresh: tuple[StepKey, str, str] | None = None
    """The latest reply, while it isn't recorded yet: one that ends the run goes with the end."""
    history: list[ChatMessage] = field(init=False)
    specs: tuple[ToolSpec, ...] = field(init=False)
    kinds: dict[str, Kind] = field(init=False)
    repeatable: set[str] = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        preamble = work.definition.preamble
        self.history = opening(preamble, work.notes, work.now, work.recalled, work.message)
        self.specs = (*work.tools, *(worker.tool for worker in work.workers))
        self.kinds = kinds_of(work.tools, work.workers)
        self.repeatable = {tool.name for tool in work.tools if tool.repeatable}

    @property
    def nudged(self) -> bool:
        return self.history[-1] == User(content=NUDGE)

    @property
    def left(self) -> Budget:
        return remaining(self.work.message.budget or Budget(), self.usage)

    async def limit(self, turn: int) -> End | None:
        """The end that a limit brings before this turn, if one is reached.

        A budget's last model call is made without tools, so that what it has bought is told.
        """
        given, turns = self.work.message.budget or Budget(), self.work.definition.limits.turns
        if self.left.tokens == 0:
            return End(Status.FAILED, f"the budget of {given.tokens} tokens is spent")
        if self.left.model_calls == 0:
            return End(Status.FAILED, f"the budget of {given.model_calls} model calls is spent")
        if self.left.model_calls == 1 and self.specs:
            return await self.conclude(turn, f"the budget of {given.model_calls} model calls")
        if turn > turns:
            return await self.conclude(turn, f"the limit of {turns} turns")
        return None

    async def query(self, turn: int, name: str = "turn", *, with_tools: bool = True) -> Completion:
        key = StepKey(turn, 0)
        recorded = self.journal.recorded(key, "model", name)
        if recorded is not None:
            completion = output_as(Completion, key, recorded)
        else:
            await self.journal.hold()
            specs = self.specs if with_tools else ()
            history = tuple(self.history)
            completion = await self.model.complete(history, specs, self.left.tokens)
            self.fresh = (key, name, completion.model_dump_json())
        self.usage += completion.usage
        self.speaker = completion.model or self.speaker
        return completion

    async def keep(self) -> None:
        """Record the latest reply, before anything is done that it asks for."""
        if self.fresh is not None:
            key, name, output = self.fresh
            await self.journal.record(key, "model", name, output)
            self.fresh = None

    async def execute(self, turn: int, completion: Completion) -> list[_Answer]:
        """One answer for each call, in call order, in whatever order they finish."""
        if completion.finish_reason == "length":
            return [_Answer(content=CUT_OFF, status=Status.FAILED)] * len(completion.tool_calls)
        prepared = self._prepared(turn, completion.tool_calls)
        started: dict[StepKey, asyncio.Task[_Answer]] = {}
        try:
            async with asyncio.TaskGroup() as jobs:
                calls = [call for call in prepared if isinstance(call, _Call)]
                for call in calls:
                    started[call.key] = jobs.create_task(self._carry_out(call))
                await self._all_done(
                    [started[call.key] for call in calls if call.kind == "tool"],
                    [started[call.key] for call in calls if call.kind == "worker"],
                )
        except BaseExceptionGroup as group:  # the others were only cancelled because of the first
            raise group.exceptions[0] from group
        return [started[it.key].result() if isinstance(it, _Call) else it for it in prepared]

    def append(self, turn: int, completion: Completion, answers: Sequence[_Answer]) -> None:
        """The reply and its answers, under ids of our own: a model's may be empty or repeated."""
        if not completion.tool_calls:
            self.history.append(User(content=NUDGE))
            return
        echo = tuple(
            call.resendable(f"call_{turn}_{index}")
            for index, call in enumerate(completion.tool_calls, 1)
        )
        self.history.append(Assistant(content=completion.text or None, tool_calls=echo))
        for call, answer in zip(echo, answers, strict=True):
            result = capped(answer.content)
            self.history.append(ToolResult(call_id=call.id, name=call.name, content=result))
            self.usage += answer.usage

    async def conclude(self, turn: int, limit: str) -> End:
        """Asks once, without tools, for the best answer that the limit has bought."""
        last = self.history[-1]
        if isinstance(last, User):  # two in a row: many chat templates refuse them
            self.history[-1] = User(content=f"{last.content}\n\n{CONCLUDE}")
        else:
            self.history.append(User(content=CONCLUDE))
        completion = await self.query(turn, "conclude", with_tools=False)
        if end := refusal(completion):
            return end
        if not completion.text:
            return End(Status.FAILED, f"no answer within {limit}")
        return End(Status.PARTIAL, completion.text, f"{limit} was reached")

    def outcome(self, end: End) -> Outcome:
        if self.fresh is not None:
            key, name, output = self.fresh
            self.journal.leave(key, "model", name, output)
        return Outcome(**end._asdict(), usage=self.usage, model=self.speaker)

    def _prepared(self, turn: int, asked: Sequence[ToolCall]) -> list[_Call | _Answer]:
        """What to do for each call, or its answer where it is known without doing anything.

        The shares don't depend on what is recorded, so that a resumed run deals out the same.
        """
        found = [self._read(call) for call in asked]
        budgets = shares(self.left, sum(isinstance(it, Ask) for it in found))
        prepared: list[_Call | _Answer] = []
        for index, (call, it) in enumerate(zip(asked, found, strict=True), 1):
            if isinstance(it, _Answer):
                prepared.append(it)
            else:
                prepared.append(self._prepare(StepKey(turn, index), call.name, it, budgets))
        return prepared

    def _read(self, call: ToolCall) -> Ask | JsonObject | _Answer:
        try:
            return read(call, self.kinds)
        except ToolError as error:
            return _failed(str(error))

    def _prepare(
        self, key: StepKey, name: str, arguments: Ask | JsonObject, budgets: Iterator[Budget]
    ) -> _Call | _Answer:
        if isinstance(arguments, Ask):
            budget = next(budgets)
            if is_spent(budget):
                return _failed(NOT_ASKED)
            prepared = _Call(key, "worker", name, partial(self._ask, key, name, arguments, budget))
        else:
            once = None if name in self.repeatable else to_json(arguments).decode()
            prepared = _Call(key, "tool", name, partial(self._use, key, name, arguments), once)
        recorded = self.journal.recorded(key, prepared.kind, name)
        return prepared if recorded is None else output_as(_Answer, key, recorded)

    async def _carry_out(self, call: _Call) -> _Answer:
        """Recorded as soon as it is known, so that a sibling's end takes nothing away."""
        if call.once is None:
            await self.journal.hold()
        else:
            await self.journal.start(call.key, call.name, call.once)
        try:
            answer = await call.perform()
        except (KeyboardInterrupt, SystemExit) as error:  # out of a job they would end the process
            raise RuntimeError(f"{call.name} raised {type(error).__name__}") from error
        await self.journal.record(call.key, call.kind, call.name, answer.output())
        return answer

    async def _ask(self, key: StepKey, worker: str, ask: Ask, budget: Budget) -> _Answer:
        response = await self.workers.ask(key, worker, ask.prompt, ask.context, budget)
        said = response.content
        if response.status not in {Status.OK, Status.PARTIAL}:
            said = f"{worker} did not answer: {response.status}: {said}"
        return _Answer(content=capped(said), status=response.status, usage=response.usage)

    async def _use(self, key: StepKey, tool: str, arguments: JsonObject) -> _Answer:
        try:
            return _Answer(content=await self.tools.call(key, tool, arguments))
        except ToolError as error:
            return _failed(str(error), error.detail)

    async def _all_done(
        self, tools: Sequence[asyncio.Task[_Answer]], asks: Sequence[asyncio.Task[_Answer]]
    ) -> None:
        """Tools first; the run's deadline and each ask's own are kept by who calls and who asks."""
        if tools:
            await asyncio.wait(tools)
        if not all(ask.done() for ask in asks):
            async with self.workers.waiting():
                await asyncio.wait(asks)


def cancelled_call() -> str:
    """The output of a call's step when its run was cancelled before the call came to one."""
    return _Answer(content=CANCELLED, status=Status.CANCELLED).output()


def _failed(text: str, detail: str | None = None) -> _Answer:
    return _Answer(content=text, status=Status.FAILED, detail=detail)
