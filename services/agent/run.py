"""The loop: query the model, execute what it asks for, append the answers, repeat.

Everything outside comes in as a protocol: no broker, HTTP, SQL, environment or clock here.
The history is a pure function of `Work` and the recorded steps, so a run that was cut off
goes on in any other process without repeating what had finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple, Protocol

from pydantic import AwareDatetime, Field, ValidationError

from services.agent.chat import (
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
from services.agent.journal import Journal, Kind, StepKey
from services.agent.opening import opening
from shared.definitions import Definition
from shared.errors import ModelError, ModelUnavailable, ToolError
from shared.messages import Content, Frozen, Response, Status, Task, Trigger, Usage
from shared.tools import JsonObject, capped, faults, sanitised

NUDGE = "Your last reply was empty. Answer, or call a tool."
CONCLUDE = (
    "You have no more turns and can call no more tools. "
    "Give your best answer now, from what you know, and say what is missing."
)
CANCELLED = "Cancelled before it came to an answer."
CUT_OFF = "Not run: your reply was cut off at its length limit. Make fewer or shorter calls."

ASK_PARAMETERS: JsonObject = {
    "type": "object",
    "properties": {
        "prompt": {
            "type": "string",
            "minLength": 1,
            "description": "what to do; all it needs to know",
        },
        "context": {"type": "string", "description": "what it should know besides"},
    },
    "required": ["prompt"],
    "additionalProperties": False,
}


class WorkerSpec(Frozen):
    """A worker as its manager's model sees it: never by its preamble."""

    name: str
    description: str


class Work(Frozen):
    """What a run sees, frozen at its claim."""

    run_id: str
    definition: Definition
    message: Annotated[Task | Trigger, Field(discriminator="type")]
    notes: tuple[str, ...] = ()
    now: AwareDatetime
    workers: tuple[WorkerSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()


class Outcome(Frozen):
    """How a run ended: `content` for the requester, `detail` for the operator only."""

    status: Status
    content: str
    detail: str | None = None
    usage: Usage = Usage()
    model: str | None = None


class Workers(Protocol):
    async def ask(self, key: StepKey, worker: str, prompt: str, context: str | None) -> Response:
        """A worker's one response. Asked again under the same key, it is the same.

        Calls run side by side. No response in time, or no such worker, is a response too.
        """

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """Entered while nothing but workers is awaited: the run needs no slot meanwhile."""


class Tools(Protocol):
    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        """A tool's result. Raises `ToolError` with text for the model."""


class _Ask(Frozen):
    prompt: Content
    context: str | None = None


class _Answer(Frozen):
    """What a call came to: the output of a tool's or worker's step."""

    content: Text
    status: Status = Status.OK
    usage: Usage = Usage()


class _Call(NamedTuple):
    """A call that can be carried out."""

    key: StepKey
    kind: Kind
    name: str
    perform: Callable[[], Coroutine[None, None, _Answer]]
    once: str | None = None
    """The arguments of a call that must not be made twice."""


class _End(NamedTuple):
    status: Status
    content: str
    detail: str | None = None


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
        for turn in range(1, work.definition.limits.turns + 1):
            completion = await loop.query(turn)
            if end := loop.end(completion):
                return loop.outcome(end)
            loop.append(turn, completion, await loop.execute(turn, completion))
        return loop.outcome(await loop.conclude())
    except ModelUnavailable:
        raise
    except ModelError as error:
        return loop.outcome(_End(Status.FAILED, error.public, str(error)))


@dataclass
class _Loop:
    work: Work
    model: Model
    tools: Tools
    workers: Workers
    journal: Journal
    usage: Usage = field(default_factory=Usage)
    speaker: str | None = None
    history: list[ChatMessage] = field(init=False)
    specs: tuple[ToolSpec, ...] = field(init=False)
    kinds: dict[str, Kind] = field(init=False)
    repeatable: set[str] = field(init=False)

    def __post_init__(self) -> None:
        work = self.work
        self.history = opening(work.definition.preamble, work.notes, work.now, work.message)
        self.specs = (*work.tools, *(_worker_tool(worker) for worker in work.workers))
        self.kinds = dict.fromkeys((tool.name for tool in work.tools), "tool")
        self.kinds |= dict.fromkeys((worker.name for worker in work.workers), "worker")
        self.repeatable = {tool.name for tool in work.tools if tool.repeatable}

    async def query(self, turn: int, name: str = "turn", *, with_tools: bool = True) -> Completion:
        key = StepKey(turn, 0)
        recorded = self.journal.recorded(key, "model", name)
        if recorded is not None:
            completion = Completion.model_validate_json(recorded)
        else:
            await self.journal.hold()
            specs = self.specs if with_tools else ()
            completion = await self.model.complete(tuple(self.history), specs)
            await self.journal.record(key, "model", name, completion.model_dump_json())
        self.usage += completion.usage
        self.speaker = completion.model or self.speaker
        return completion

    def end(self, completion: Completion) -> _End | None:
        """The end that a reply is, if it is one. The presence of calls outweighs its reason."""
        nudged = self.history[-1] == User(content=NUDGE)
        if end := _refusal(completion):
            return end
        if completion.tool_calls:
            return None
        cut = completion.finish_reason == "length"
        if completion.said:
            if cut:
                return _End(Status.PARTIAL, completion.said, "cut off at the model's length limit")
            return _End(Status.OK, completion.said)
        if cut:
            return _End(Status.FAILED, "the model's reply was cut off before it said anything")
        return _End(Status.FAILED, "the model gave an empty answer twice") if nudged else None

    async def execute(self, turn: int, completion: Completion) -> list[_Answer]:
        """One answer for each call, in call order, in whatever order they finish."""
        if completion.finish_reason == "length":
            return [_Answer(content=CUT_OFF, status=Status.FAILED)] * len(completion.tool_calls)
        prepared = [
            self._prepare(StepKey(turn, index), call)
            for index, call in enumerate(completion.tool_calls, 1)
        ]
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
        self.history.append(Assistant(content=completion.said or None, tool_calls=echo))
        for call, answer in zip(echo, answers, strict=True):
            result = capped(answer.content)
            self.history.append(ToolResult(call_id=call.id, name=call.name, content=result))
            self.usage += answer.usage

    async def conclude(self) -> _End:
        """Asks once, without tools, for the best answer that the turns have bought."""
        limit = self.work.definition.limits.turns
        self.history.append(User(content=CONCLUDE))
        completion = await self.query(limit + 1, "conclude", with_tools=False)
        if end := _refusal(completion):
            return end
        if not completion.said:
            return _End(Status.FAILED, f"no answer within the limit of {limit} turns")
        return _End(Status.PARTIAL, completion.said, f"the limit of {limit} turns was reached")

    def outcome(self, end: _End) -> Outcome:
        return Outcome(**end._asdict(), usage=self.usage, model=self.speaker)

    def _prepare(self, key: StepKey, call: ToolCall) -> _Call | _Answer:
        """What to do for a call; or its answer, where it is known without doing anything."""
        name = call.name
        try:
            kind = self.kinds.get(name)
            if kind == "worker":
                ask = _Ask.model_validate(call.parsed())
                prepared = _Call(key, kind, name, lambda: self._ask(key, name, ask))
            elif kind == "tool":
                arguments = call.parsed()
                once = None if name in self.repeatable else call.arguments.strip() or "{}"
                prepared = _Call(key, kind, name, lambda: self._use(key, name, arguments), once)
            else:
                known = ", ".join(spec.name for spec in self.specs) or "none"
                raise ToolError(f"there is no tool '{sanitised(name)}'; there are: {known}")
        except ToolError as error:
            return _failed(str(error))
        except ValidationError as error:
            return _failed(f"the arguments of {name} are wrong: {faults(error)}")
        recorded = self.journal.recorded(key, prepared.kind, name)
        return prepared if recorded is None else _Answer.model_validate_json(recorded)

    async def _carry_out(self, call: _Call) -> _Answer:
        """Recorded as soon as it is known, so that a sibling's end takes nothing away."""
        if call.once is None:
            await self.journal.hold()
        else:
            await self.journal.start(call.key, call.name, call.once)
        answer = await call.perform()
        await self.journal.record(call.key, call.kind, call.name, answer.model_dump_json())
        return answer

    async def _ask(self, key: StepKey, worker: str, ask: _Ask) -> _Answer:
        response = await self.workers.ask(key, worker, ask.prompt, ask.context)
        said = response.content
        if response.status not in {Status.OK, Status.PARTIAL}:
            said = f"{worker} did not answer: {response.status}: {said}"
        return _Answer(content=capped(said), status=response.status, usage=response.usage)

    async def _use(self, key: StepKey, tool: str, arguments: JsonObject) -> _Answer:
        try:
            return _Answer(content=await self.tools.call(key, tool, arguments))
        except ToolError as error:
            return _failed(str(error))

    async def _all_done(
        self, tools: Sequence[asyncio.Task[_Answer]], asks: Sequence[asyncio.Task[_Answer]]
    ) -> None:
        """Tools first; the run's deadline and each ask's own are kept by who calls and who asks."""
        if tools:
            await asyncio.wait(tools)
        if not all(ask.done() for ask in asks):
            async with self.workers.waiting():
                await asyncio.wait(asks)


def _worker_tool(worker: WorkerSpec) -> ToolSpec:
    return ToolSpec(name=worker.name, description=worker.description, parameters=ASK_PARAMETERS)


def _refusal(completion: Completion) -> _End | None:
    if completion.refusal:
        return _End(Status.REFUSED, completion.refusal, "the model refused")
    if completion.finish_reason == "content_filter":
        return _End(Status.REFUSED, "the endpoint's content filter withheld the answer")
    return None


def cancelled_call() -> str:
    """The output of a call's step when its run was cancelled before the call came to one."""
    return _Answer(content=CANCELLED, status=Status.CANCELLED).model_dump_json()


def _failed(text: str) -> _Answer:
    return _Answer(content=text, status=Status.FAILED)
