"""The calls of a model's reply to tools and workers: they run concurrently, each is a step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Protocol

from pydantic_core import to_json

from services.agent.llm.chat import Completion, Text, ToolCall, ToolSpec
from services.agent.loop.approvals import ParkedWorker, RunParked, approval_request, denial
from services.agent.loop.budget import is_spent, shares
from services.agent.loop.guardrails.untrusted import Untrusted
from services.agent.loop.journal import Journal, StepKey, StepKind, parse_output
from services.agent.loop.repeats import Repeats
from services.agent.loop.tool_calls import WorkerArguments, kinds_by_name, parse_arguments
from services.agent.loop.work import Work
from shared.contract.approvals import ApprovalRequest, ApprovalState
from shared.contract.messages import ANSWERED, Budget, Frozen, Response, Status, Usage
from shared.definitions.functions import JsonObject
from shared.definitions.results import capped
from shared.errors import ToolError

CANCELLED = "Cancelled before it came to an answer."
CUT_OFF = "Not run: your reply was cut off at its length limit. Make fewer or shorter calls."
NOT_ASKED = "Not asked: the budget is spent. Answer from what you know."
NOT_REPEATED = (
    "Not called again: you have made this call with the same arguments in each of your last turns. "
    "Use its answer, change the arguments, or give your final answer."
)
TOO_LATE = "No answer before the deadline. Answer from what you know."

RESERVED_SHARE = 0.1
"""The share of the time left that a run keeps for its conclusion when it makes calls."""
LEAST_RESERVE_S, LONGEST_RESERVE_S = 5.0, 60.0
NO_RESERVE_S = 10.0
"""With less time left than this, calls get all of it."""

SAME_S = 1.0
"""A worker measures its deadline by its own clock, and its answer takes a moment to arrive: within
this time of the limit, a timeout is the one that the limit caused."""


class Workers(Protocol):
    async def ask(
        self,
        key: StepKey,
        worker: str,
        prompt: str,
        context: str | None,
        budget: Budget,
        reserve_s: float,
    ) -> Response | ParkedWorker:
        """A worker's response; a second call with the same key gets the same response.

        `budget` limits the whole subtree, and the response's usage never exceeds it. The worker's
        deadline is the run's, less `reserve_s`; the caller enforces it. Calls run concurrently. A
        timeout and an unknown worker are responses too. While the worker's run is parked, there is
        none: the run is to park as well, and to call again later.
        """

    def waiting(self) -> AbstractAsyncContextManager[None]:
        """A context in which the run only waits for workers and so needs no slot."""


class Tools(Protocol):
    async def call(self, key: StepKey, name: str, arguments: JsonObject) -> str:
        """A tool's result. Raises `ToolError`, whose text is for the model."""


class Answer(Frozen):
    """The result of a call: the output of a tool's or worker's step."""

    content: Text
    status: Status = Status.OK
    usage: Usage = Usage()
    detail: Text | None = None
    """The trace of a tool that raised, for the operator only."""
    too_late: Literal[True] | None = None
    """The call was given up so that the run can conclude before its deadline."""
    denied: Literal[True] | None = None
    """The call was not made: the text says why, and what a person has to say about it."""

    def output(self) -> str:
        """The recorded JSON. Without the optional fields it is what earlier versions read."""
        return self.model_dump_json(exclude_none=True)


def reserve_s(left_s: float) -> float:
    """The seconds before a run's deadline at which its calls end; 0 if there is too little time."""
    if left_s < NO_RESERVE_S:
        return 0.0
    return min(max(left_s * RESERVED_SHARE, LEAST_RESERVE_S), LONGEST_RESERVE_S)


class _Call(NamedTuple):
    """A call with valid arguments."""

    key: StepKey
    kind: StepKind
    name: str
    perform: Callable[[float], Coroutine[None, None, Answer | ParkedWorker]]
    """Makes the call; its argument is the run's reserve in seconds."""
    once: str | None = None
    """The arguments as JSON, if the call must not be made twice."""

    def denied(self, text: str) -> _Call:
        """The call with this answer in place of being made."""
        return self._replace(perform=partial(_denied, text), once=None)


@dataclass
class Calls:
    """The calls of one run."""

    work: Work
    tools: Tools
    workers: Workers
    journal: Journal
    left_s: Callable[[], float]
    """The seconds until the run's deadline."""
    specs: dict[str, ToolSpec] = field(init=False)
    """The tools and workers of the run's definition, by name."""
    repeats: Repeats = field(init=False)

    def __post_init__(self) -> None:
        self._kinds = kinds_by_name(self.work.tools, self.work.workers)
        workers = (worker.tool for worker in self.work.workers)
        self.specs = {spec.name: spec for spec in (*self.work.tools, *workers)}
        self._repeatable = {tool.name for tool in self.work.tools if tool.repeatable}
        self.repeats = Repeats(self._repeatable)
        self._untrusted = Untrusted(self.work)

    async def execute(self, turn: int, completion: Completion, left: Budget) -> list[Answer]:
        """One answer for each call of a reply, in call order.

        Raises `TimeoutError` if a worker has ended at the run's own deadline, and `RunParked` if
        there is no answer to some calls before a person decides.
        """
        calls = completion.tool_calls
        if completion.finish_reason == "length":
            answers = [Answer(content=CUT_OFF, status=Status.FAILED)] * len(calls)
        else:
            made = await self._perform_all(self._prepare_all(turn, calls, left))
            answers = [it for it in made if isinstance(it, Answer)]
            if len(answers) < len(made):
                requests = tuple(it for it in made if isinstance(it, ApprovalRequest))
                workers = tuple(it for it in made if isinstance(it, ParkedWorker))
                raise RunParked(requests, workers)
        self.repeats.add(calls, [answer.content for answer in answers])
        self._untrusted.add(call.name for call in calls)
        return answers

    async def _perform_all(
        self, prepared: Sequence[_Call | Answer | ApprovalRequest]
    ) -> list[Answer | ApprovalRequest | ParkedWorker]:
        reserve = reserve_s(self.left_s())
        started: dict[StepKey, asyncio.Task[Answer | ParkedWorker]] = {}
        try:
            async with asyncio.TaskGroup() as jobs:
                calls = [call for call in prepared if isinstance(call, _Call)]
                for call in calls:
                    started[call.key] = jobs.create_task(self._perform(call, reserve))
                await self._wait(
                    [started[call.key] for call in calls if call.kind == "tool"],
                    [started[call.key] for call in calls if call.kind == "worker"],
                )
        except BaseExceptionGroup as group:  # the first one caused the cancellation of the others
            raise group.exceptions[0] from group
        return [started[it.key].result() if isinstance(it, _Call) else it for it in prepared]

    def _prepare_all(
        self, turn: int, calls: Sequence[ToolCall], left: Budget
    ) -> list[_Call | Answer | ApprovalRequest]:
        """Prepare each call; a call whose answer is known already becomes that answer, and one
        that is not decided yet the request for its approval.

        The budget's shares don't depend on recorded answers, so a resumed run computes the same.
        """
        parsed = [self._parse(call) for call in calls]
        budgets = shares(left, sum(isinstance(it, WorkerArguments) for it in parsed))
        prepared: list[_Call | Answer | ApprovalRequest] = []
        for index, (call, it) in enumerate(zip(calls, parsed, strict=True), 1):
            if isinstance(it, Answer):
                prepared.append(it)
            else:
                prepared.append(self._prepare(StepKey(turn, index), call.name, it, budgets))
        return prepared

    def _parse(self, call: ToolCall) -> WorkerArguments | JsonObject | Answer:
        if self.repeats.is_futile(call):
            return _failed(NOT_REPEATED)
        try:
            return parse_arguments(call, self._kinds)
        except ToolError as error:
            return _failed(str(error))

    def _prepare(
        self,
        key: StepKey,
        name: str,
        arguments: WorkerArguments | JsonObject,
        budgets: Iterator[Budget],
    ) -> _Call | Answer | ApprovalRequest:
        if isinstance(arguments, WorkerArguments):
            budget = next(budgets)
            if is_spent(budget):
                return _failed(NOT_ASKED)
            perform = partial(self._ask_worker, key, name, arguments, budget)
            prepared = _Call(key, "worker", name, perform)
        else:
            once = None if name in self._repeatable else to_json(arguments).decode()
            call_tool = partial(self._call_tool, key, name, arguments)
            prepared = _Call(key, "tool", name, call_tool, once)
        recorded = self.journal.recorded(key, prepared.kind, name)
        if recorded is not None:
            return parse_output(Answer, key, recorded)
        if closed := self._untrusted.denial(name):
            return prepared.denied(closed)
        return self._approved(prepared, arguments)

    def _approved(
        self, call: _Call, arguments: WorkerArguments | JsonObject
    ) -> _Call | ApprovalRequest:
        """The call if it may be made; one that answers with a denial; or the request for its
        approval."""
        if isinstance(arguments, WorkerArguments):
            arguments = arguments.model_dump(exclude_none=True)
        request = approval_request(call.key, call.kind, self.specs[call.name], arguments)
        if request is None:
            return call
        decision = self.journal.decision(request)
        if decision is None:
            return request
        if decision.state is ApprovalState.APPROVED:
            return call
        return call.denied(denial(decision))

    async def _perform(self, call: _Call, reserve: float) -> Answer | ParkedWorker:
        """Make the call and record its answer at once, before the other calls have ended."""
        if call.once is None:
            await self.journal.begin(call.key)
        else:
            await self.journal.start(call.key, call.name, call.once)
        try:
            answer = await self._in_time(call, reserve)
        except (KeyboardInterrupt, SystemExit) as error:  # they would end the process
            raise RuntimeError(f"{call.name} raised {type(error).__name__}") from error
        if isinstance(answer, ParkedWorker):
            return answer
        await self.journal.record(call.key, call.kind, call.name, answer.output())
        return answer

    async def _in_time(self, call: _Call, reserve: float) -> Answer | ParkedWorker:
        """The call's answer, or that there was none in time.

        A call that must not be made twice is waited for, as only its own answer says whether it
        has acted. A worker has `SAME_S` more, so that its own response comes first.
        """
        if call.once is not None or not reserve:
            return await call.perform(reserve)
        more = SAME_S if call.kind == "worker" else 0.0
        limit = asyncio.timeout(max(0.0, self.left_s() - reserve + more))
        try:
            async with limit:
                return await call.perform(reserve)
        except TimeoutError:
            if not limit.expired():
                raise
            return _too_late(call.name, Usage())

    async def _ask_worker(
        self, key: StepKey, worker: str, asked: WorkerArguments, budget: Budget, reserve: float
    ) -> Answer | ParkedWorker:
        prompt, context = asked.prompt, asked.context
        response = await self.workers.ask(key, worker, prompt, context, budget, reserve)
        if isinstance(response, ParkedWorker):
            return response
        if response.status is Status.TIMEOUT and self.left_s() < reserve + SAME_S:
            if not reserve:  # a model call about it would not end in time
                raise TimeoutError
            return _too_late(worker, response.usage)
        content = response.content
        if response.status not in ANSWERED:
            content = f"{worker} did not answer: {response.status}: {content}"
        return Answer(content=capped(content), status=response.status, usage=response.usage)

    async def _call_tool(
        self, key: StepKey, tool: str, arguments: JsonObject, _reserve: float
    ) -> Answer:
        try:
            return Answer(content=await self.tools.call(key, tool, arguments))
        except ToolError as error:
            return _failed(str(error), error.detail)

    async def _wait(
        self,
        tools: Sequence[asyncio.Task[Answer | ParkedWorker]],
        workers: Sequence[asyncio.Task[Answer | ParkedWorker]],
    ) -> None:
        """Wait until all calls have ended: first for the tools, which need the run's slot."""
        if tools:
            await asyncio.wait(tools)
        if not all(call.done() for call in workers):
            async with self.workers.waiting():
                await asyncio.wait(workers)


def cancelled_call() -> str:
    """The recorded output of a call whose run was cancelled before the call ended."""
    return Answer(content=CANCELLED, status=Status.CANCELLED).output()


def _failed(text: str, detail: str | None = None) -> Answer:
    return Answer(content=text, status=Status.FAILED, detail=detail)


async def _denied(text: str, _reserve: float) -> Answer | ParkedWorker:
    """In place of a call that may not be made; recorded, so that the journal shows it."""
    return Answer(content=text, status=Status.REFUSED, denied=True)


def _too_late(name: str, usage: Usage) -> Answer:
    content = f"{name}: {TOO_LATE}"
    return Answer(content=content, status=Status.TIMEOUT, usage=usage, too_late=True)
