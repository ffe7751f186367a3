"""The loop: query the model, execute its calls, append their answers, repeat.

It uses the outside world only through protocols: no broker, HTTP, SQL, environment or clock.
The history is a pure function of `Work` and the recorded steps, so any other process can go on
with an interrupted run without repeating finished steps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from pydantic_core import to_json

from services.agent.llm.chat import (
    Completion,
    Model,
    Text,
    ToolCall,
    ToolSpec,
    User,
)
from services.agent.loop.budget import is_spent, remaining, shares
from services.agent.loop.context import Context
from services.agent.loop.endings import refusal_outcome, reply_outcome
from services.agent.loop.journal import Journal, StepKey, StepKind, parse_output
from services.agent.loop.shortening import Shortening
from services.agent.loop.tool_calls import WorkerArguments, kinds_by_name, parse_arguments
from services.agent.loop.work import Outcome, Stream, Work, failed
from shared.contract.messages import ANSWERED, Budget, Frozen, Response, Status, Usage
from shared.definitions.functions import JsonObject
from shared.definitions.results import capped
from shared.errors import ContextExceeded, ModelError, ModelUnavailable, ToolError

NUDGE = "Your last reply was empty. Answer, or call a tool."
CONCLUDE = (
    "You have no more turns and can call no more tools. "
    "Give your best answer now, from what you know, and say what is missing."
)
CANCELLED = "Cancelled before it came to an answer."
CUT_OFF = "Not run: your reply was cut off at its length limit. Make fewer or shorter calls."
TOO_LONG = "the task does not fit into the model's context, whatever else is left out"

NOT_ASKED = "Not asked: the budget is spent. Answer from what you know."


class Workers(Protocol):
    async def ask(
        self, key: StepKey, worker: str, prompt: str, context: str | None, budget: Budget
    ) -> Response:
        """A worker's response; a second call with the same key gets the same response.

        `budget` limits the whole subtree, and the response's usage never exceeds it. Calls run
        concurrently. A timeout and an unknown worker are responses too.
        """

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """A context in which the run only waits for workers and so needs no slot."""


class Tools(Protocol):
    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        """A tool's result. Raises `ToolError`, whose text is for the model."""


class _Answer(Frozen):
    """The result of a call: the output of a tool's or worker's step."""

    content: Text
    status: Status = Status.OK
    usage: Usage = Usage()
    detail: Text | None = None
    """The trace of a tool that raised, for the operator only."""

    def output(self) -> str:
        """The recorded JSON. Without a detail it is what earlier versions write and read."""
        return self.model_dump_json(exclude_none=True)


class _Call(NamedTuple):
    """A call with valid arguments."""

    key: StepKey
    kind: StepKind
    name: str
    perform: Callable[[], Coroutine[None, None, _Answer]]
    once: str | None = None
    """The arguments as JSON, if the call must not be made twice."""


async def run(
    work: Work,
    model: Model,
    tools: Tools,
    workers: Workers,
    journal: Journal,
    stream: Stream | None = None,
) -> Outcome:
    """Run the loop until it has an outcome. Replies are streamed only with `stream`.

    Raises `RunLost` if another instance has taken the run, `JournalMismatch` if the journal
    records other steps than this run takes, `ModelUnavailable` if the run can go on later from its
    finished steps, and the errors of the journal's store.
    """
    loop = _Loop(work, model, tools, workers, journal, stream)
    try:
        turn = 1
        while (outcome := await loop.at_limit(turn)) is None:
            completion = await loop.query(turn)
            if outcome := reply_outcome(completion, nudged=loop.nudged):
                break
            await loop.record_reply()
            loop.append(turn, completion, await loop.execute(turn, completion))
            turn += 1
        return loop.end(outcome)
    except ModelUnavailable:
        raise
    except ContextExceeded as error:
        return loop.end(failed(TOO_LONG, str(error)))
    except ModelError as error:
        return loop.end(failed(error.public, str(error)))


@dataclass
class _Loop:
    work: Work
    model: Model
    tools: Tools
    workers: Workers
    journal: Journal
    stream: Stream | None
    usage: Usage = field(default_factory=Usage)
    model_name: str | None = None
    unrecorded: tuple[StepKey, str, str] | None = None
    """The latest reply until it is recorded; the last one is committed with the run's end."""
    context: Context = field(init=False)
    shortening: Shortening = field(init=False)
    specs: tuple[ToolSpec, ...] = field(init=False)
    kinds: dict[str, StepKind] = field(init=False)
    repeatable: set[str] = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        self.specs = (*work.tools, *(worker.tool for worker in work.workers))
        self.context = Context(work, self.specs)
        self.shortening = Shortening(self.context, self.model, self.journal)
        self.kinds = kinds_by_name(work.tools, work.workers)
        self.repeatable = {tool.name for tool in work.tools if tool.repeatable}

    @property
    def nudged(self) -> bool:
        return self.context.history.turns[-1:] == [[User(content=NUDGE)]]

    @property
    def left(self) -> Budget:
        return remaining(self.work.message.budget or Budget(), self.usage)

    async def at_limit(self, turn: int) -> Outcome | None:
        """The outcome if a limit is reached before this turn.

        A budget's last model call is made without tools, so that it yields an answer.
        """
        given, turns = self.work.message.budget or Budget(), self.work.definition.limits.turns
        if self.left.tokens == 0:
            return failed(f"the budget of {given.tokens} tokens is spent")
        if self.left.cost == 0:
            return failed(f"the budget of {given.cost} USD is spent")
        if self.left.model_calls == 0:
            return failed(f"the budget of {given.model_calls} model calls is spent")
        if self.left.model_calls == 1 and self.specs:
            return await self.conclude(turn, f"the budget of {given.model_calls} model calls")
        if turn > turns:
            return await self.conclude(turn, f"the limit of {turns} turns")
        return None

    async def query(self, turn: int, name: str = "turn", *, with_tools: bool = True) -> Completion:
        self.usage += self.shortening.restore(turn)
        key = StepKey(turn, 0)
        recorded = self.journal.recorded(key, "model", name)
        if recorded is not None:
            completion = parse_output(Completion, key, recorded)
        else:
            completion = await self._complete(turn, with_tools=with_tools)
            self.unrecorded = (key, name, completion.model_dump_json())
        self.context.learn(completion.usage)
        self.usage += completion.usage
        self.model_name = completion.model or self.model_name
        return completion

    async def _complete(self, turn: int, *, with_tools: bool) -> Completion:
        """The model's reply to a history that fits its context. After a refusal it is asked with a
        shorter one; raises `ContextExceeded` if there is none.
        """
        refusal: ContextExceeded | None = None
        while True:
            while (used := await self.shortening.shorten(self.left, refusal)) is not None:
                self.usage += used
                refusal = None
            if refusal is not None:
                raise refusal
            await self.journal.check_fence()
            asked = self.context.request(self.left, with_tools)
            try:
                with self.stream(turn) if self.stream else nullcontext() as on_text:
                    return await self.model.complete(asked, on_text)
            except ContextExceeded as error:
                refusal = error

    async def record_reply(self) -> None:
        """Record the latest reply before any of its calls begins."""
        if self.unrecorded is not None:
            key, name, output = self.unrecorded
            await self.journal.record(key, "model", name, output)
            self.unrecorded = None

    async def execute(self, turn: int, completion: Completion) -> list[_Answer]:
        """One answer for each call, in call order; the calls run concurrently."""
        if completion.finish_reason == "length":
            return [_Answer(content=CUT_OFF, status=Status.FAILED)] * len(completion.tool_calls)
        prepared = self._prepare_all(turn, completion.tool_calls)
        started: dict[StepKey, asyncio.Task[_Answer]] = {}
        try:
            async with asyncio.TaskGroup() as jobs:
                calls = [call for call in prepared if isinstance(call, _Call)]
                for call in calls:
                    started[call.key] = jobs.create_task(self._perform(call))
                await self._wait(
                    [started[call.key] for call in calls if call.kind == "tool"],
                    [started[call.key] for call in calls if call.kind == "worker"],
                )
        except BaseExceptionGroup as group:  # the first one caused the cancellation of the others
            raise group.exceptions[0] from group
        return [started[it.key].result() if isinstance(it, _Call) else it for it in prepared]

    def append(self, turn: int, completion: Completion, answers: Sequence[_Answer]) -> None:
        """Add the reply and its answers to the history."""
        history = self.context.history
        if completion.tool_calls:
            history.append(turn, completion, [it.content for it in answers])
            self.usage += sum((it.usage for it in answers), Usage())
        else:
            history.turns.append([User(content=NUDGE)])

    async def conclude(self, turn: int, limit: str) -> Outcome:
        """Query the model a last time, without tools, for its best answer within the limit."""
        self.context.history.turns.append([User(content=CONCLUDE)])
        completion = await self.query(turn, "conclude", with_tools=False)
        if refused := refusal_outcome(completion):
            return refused
        if not completion.text:
            return failed(f"no answer within {limit}")
        detail = f"{limit} was reached"
        return Outcome(status=Status.PARTIAL, content=completion.text, detail=detail)

    def end(self, outcome: Outcome) -> Outcome:
        """The outcome with the run's usage; its last reply is left to be committed with the end."""
        if self.unrecorded is not None:
            key, name, output = self.unrecorded
            self.journal.record_at_end(key, "model", name, output)
        return outcome.model_copy(update={"usage": self.usage, "model": self.model_name})

    def _prepare_all(self, turn: int, calls: Sequence[ToolCall]) -> list[_Call | _Answer]:
        """Prepare each call; a call whose answer is known already becomes that answer.

        The budget's shares don't depend on recorded answers, so a resumed run computes the same.
        """
        parsed = [self._parse(call) for call in calls]
        budgets = shares(self.left, sum(isinstance(it, WorkerArguments) for it in parsed))
        prepared: list[_Call | _Answer] = []
        for index, (call, it) in enumerate(zip(calls, parsed, strict=True), 1):
            if isinstance(it, _Answer):
                prepared.append(it)
            else:
                prepared.append(self._prepare(StepKey(turn, index), call.name, it, budgets))
        return prepared

    def _parse(self, call: ToolCall) -> WorkerArguments | JsonObject | _Answer:
        try:
            return parse_arguments(call, self.kinds)
        except ToolError as error:
            return _failed_answer(str(error))

    def _prepare(
        self,
        key: StepKey,
        name: str,
        arguments: WorkerArguments | JsonObject,
        budgets: Iterator[Budget],
    ) -> _Call | _Answer:
        if isinstance(arguments, WorkerArguments):
            budget = next(budgets)
            if is_spent(budget):
                return _failed_answer(NOT_ASKED)
            perform = partial(self._ask_worker, key, name, arguments, budget)
            prepared = _Call(key, "worker", name, perform)
        else:
            once = None if name in self.repeatable else to_json(arguments).decode()
            perform = partial(self._call_tool, key, name, arguments)
            prepared = _Call(key, "tool", name, perform, once)
        recorded = self.journal.recorded(key, prepared.kind, name)
        return prepared if recorded is None else parse_output(_Answer, key, recorded)

    async def _perform(self, call: _Call) -> _Answer:
        """Make the call and record its answer at once, before the other calls have ended."""
        if call.once is None:
            await self.journal.check_fence()
        else:
            await self.journal.start(call.key, call.name, call.once)
        try:
            answer = await call.perform()
        except (KeyboardInterrupt, SystemExit) as error:  # they would end the process
            raise RuntimeError(f"{call.name} raised {type(error).__name__}") from error
        await self.journal.record(call.key, call.kind, call.name, answer.output())
        return answer

    async def _ask_worker(
        self, key: StepKey, worker: str, asked: WorkerArguments, budget: Budget
    ) -> _Answer:
        response = await self.workers.ask(key, worker, asked.prompt, asked.context, budget)
        content = response.content
        if response.status not in ANSWERED:
            content = f"{worker} did not answer: {response.status}: {content}"
        return _Answer(content=capped(content), status=response.status, usage=response.usage)

    async def _call_tool(self, key: StepKey, tool: str, arguments: JsonObject) -> _Answer:
        try:
            return _Answer(content=await self.tools.call(key, tool, arguments))
        except ToolError as error:
            return _failed_answer(str(error), error.detail)

    async def _wait(
        self, tools: Sequence[asyncio.Task[_Answer]], workers: Sequence[asyncio.Task[_Answer]]
    ) -> None:
        """Wait until all calls have ended: first for the tools, which need the run's slot.

        There is no timeout here: the caller of `run` and `Workers.ask` enforce the deadlines.
        """
        if tools:
            await asyncio.wait(tools)
        if not all(call.done() for call in workers):
            async with self.workers.waiting():
                await asyncio.wait(workers)


def cancelled_call() -> str:
    """The recorded output of a call whose run was cancelled before the call ended."""
    return _Answer(content=CANCELLED, status=Status.CANCELLED).output()


def _failed_answer(text: str, detail: str | None = None) -> _Answer:
    return _Answer(content=text, status=Status.FAILED, detail=detail)
