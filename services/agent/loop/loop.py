"""The loop: query the model, execute its calls, append their answers, repeat.

It uses the outside world only through protocols: no broker, HTTP, SQL, environment or clock.
The history is a pure function of `Work` and the recorded steps, so any other process can go on
with an interrupted run without repeating finished steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from math import inf

from pydantic_core import to_json

from services.agent.llm.chat import Assistant, Completion, Model, ToolSpec, User
from services.agent.loop.budget import remaining
from services.agent.loop.calls import Answer, Calls, Tools, Workers
from services.agent.loop.data import MOST_CORRECTIONS, AnswerData
from services.agent.loop.endings import refusal_outcome, reply_outcome
from services.agent.loop.guardrails.checks import Checks, ModelOf
from services.agent.loop.journal import Journal, StepKey, parse_output
from services.agent.loop.preparation import found_tools, prepared
from services.agent.loop.repeats import MOST_ASKED
from services.agent.loop.window.context import Context
from services.agent.loop.window.shortening import Shortening
from services.agent.loop.work import Outcome, Stream, Work, failed
from shared.contract.messages import ANSWERED, Budget, Status, Usage
from shared.definitions.knowledge import FIND_TOOLS, OWN
from shared.errors import ContextExceeded, ModelError, ModelUnavailable

NUDGE = "Your last reply was empty. Answer, or call a tool."
CONCLUDE = (
    "You have no more turns and can call no more tools. "
    "Give your best answer now, from what you know, and say what is missing."
)


CHECKABLE = {*ANSWERED, Status.REFUSED}
"""The statuses of a run whose text is its model's."""


def no_deadline() -> float:
    return inf


async def run(
    work: Work,
    model: Model,
    tools: Tools,
    workers: Workers,
    journal: Journal,
    left_s: Callable[[], float] = no_deadline,
    stream: Stream | None = None,
    model_of: ModelOf | None = None,
) -> Outcome:
    """Run the loop until it has an outcome. `left_s` returns the seconds until its deadline.
    `model_of` returns the models of its checks; without it, these use the run's.

    Calls that may be given up end some time before the deadline, and the run then concludes from
    what it has. The caller ends it at the deadline itself; only if a worker has ended just then,
    `TimeoutError` is raised here. Replies are streamed only with `stream`, and never if they are to
    be checked.

    Raises `RunParked` if it can't go on before a person decides, `RunLost` if another instance has
    taken the run, `JournalMismatch` if the journal
    records other steps than this run takes, `ModelUnavailable` if the run can go on later from its
    finished steps, and the errors of the journal's store.
    """
    checks = Checks(work, tools, model_of or (lambda _: model), journal)
    work, refused = await checks.task(work)
    if refused:
        return refused.model_copy(update={"usage": checks.usage})
    work = await prepared(work, tools, journal)
    calls = Calls(work, tools, workers, journal, left_s)
    loop = _Loop(work, model, calls, checks, journal, None if checks.of_answers else stream)
    try:
        turn = 1
        while (outcome := await loop.at_limit(turn)) is None:
            completion = await loop.query(turn)
            outcome = reply_outcome(completion, nudged=loop.nudged)
            if outcome and (outcome := loop.checked(outcome)):
                break
            await loop.record_reply()
            answers = await loop.calls.execute(turn, completion, loop.left)
            loop.append(turn, completion, answers)
            turn += 1
        return loop.end(await loop.guarded(turn, outcome))
    except ModelUnavailable:
        raise
    except ModelError as error:
        return loop.end(failed(error.public, str(error)))


@dataclass
class _Loop:
    work: Work
    model: Model
    calls: Calls
    checks: Checks
    journal: Journal
    stream: Stream | None
    usage: Usage = field(default_factory=Usage)
    model_name: str | None = None
    unrecorded: tuple[StepKey, str, str] | None = None
    """The latest reply until it is recorded; the last one is committed with the run's end."""
    context: Context = field(init=False)
    shortening: Shortening = field(init=False)
    specs: tuple[ToolSpec, ...] = field(init=False)
    """The tools and workers that the model is offered now."""
    too_late: list[str] = field(default_factory=list)
    """The calls of the last turn that were given up because of the deadline."""
    data: AnswerData | None = field(init=False)
    corrections: int = 0
    """How often the model was asked to correct an answer."""
    faults: list[str] = field(default_factory=list)
    """The faults of the last answer."""

    def __post_init__(self) -> None:
        work = self.work
        self.data = AnswerData(work.output) if work.output is not None else None
        known = self.calls.specs
        offered = {*work.offered, *OWN} if work.offered else known.keys()
        self.specs = tuple(it for name, it in known.items() if name in offered)
        self.context = Context(work, self.specs)
        self.shortening = Shortening(self.context, self.model, self.journal)

    @property
    def nudged(self) -> bool:
        return self.context.history.turns[-1:] == [[User(content=NUDGE)]]

    @property
    def left(self) -> Budget:
        """The budget that is left for turns."""
        used = self.usage + self.checks.usage + self.checks.reserved
        return remaining(self.work.message.budget or Budget(), used)

    async def at_limit(self, turn: int) -> Outcome | None:
        """The outcome if a limit is reached before this turn.

        A budget's last model call is made without tools, so that it yields an answer.
        """
        given, turns = self.work.message.budget or Budget(), self.work.definition.limits.turns
        left = self.left
        if left.tokens == 0:
            return failed(f"the budget of {given.tokens} tokens is spent")
        if left.cost == 0:
            return failed(f"the budget of {given.cost} USD is spent")
        if left.model_calls == 0:
            return failed(f"the budget of {given.model_calls} model calls is spent")
        if left.model_calls == 1 and self.specs:
            why = f"the budget of {given.model_calls} model calls was reached"
        elif turn > turns:
            why = f"the limit of {turns} turns was reached"
        elif self.too_late:
            why = f"no answer from {', '.join(self.too_late)} before the deadline"
        elif repeated := self.calls.repeats.endless:
            why = f"{repeated} was called with the same arguments {MOST_ASKED} turns in a row"
        else:
            return None
        return await self.conclude(turn, why)

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
            self.usage += await self.shortening.shorten(self.left, refusal)
            await self.journal.begin(StepKey(turn, 0))
            asked = self.context.request(self.left, with_tools)
            if self.data:
                asked = replace(asked, answer_schema=self.data.sent, strict_answer=self.data.strict)
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

    def append(self, turn: int, completion: Completion, answers: Sequence[Answer]) -> None:
        """Add the reply and its answers to the history, or a request to answer."""
        asked = zip(completion.tool_calls, answers, strict=True)
        self.too_late = [call.name for call, answer in asked if answer.too_late]
        if completion.tool_calls:
            self.context.history.append(turn, completion, answers)
            self.usage += sum((it.usage for it in answers), Usage())
            self._offer(completion, answers)
        else:
            self._ask_again(completion)

    def _offer(self, completion: Completion, answers: Sequence[Answer]) -> None:
        """Offer the tools that the model has found, after the others: these stay in an endpoint's
        cache."""
        asked = zip(completion.tool_calls, answers, strict=True)
        found = (found_tools(it.content) for call, it in asked if call.name == FIND_TOOLS)
        known = self.calls.specs
        names = {name: None for each in found for name in each if name in known}
        if new := tuple(known[it] for it in names if known[it] not in self.specs):
            self.specs += new
            self.context.offer(self.specs)

    def _ask_again(self, completion: Completion) -> None:
        """Add a request to answer, or to correct the answer in the reply."""
        turns = self.context.history.turns
        if not (self.data and completion.text):
            turns.append([User(content=NUDGE)])
            return
        self.corrections += 1
        said = Assistant(content=completion.text, kept=completion.kept)
        turns.append([said, User(content=self.data.correction(self.faults))])

    def checked(self, outcome: Outcome) -> Outcome | None:
        """The outcome with the data of its answer, if the agent's answers have a schema.

        None if the model is to correct an answer that doesn't fit.
        """
        if self.data is None or outcome.status not in ANSWERED:
            return outcome
        data, self.faults = self.data.read(outcome.content)
        if not self.faults:
            return outcome.model_copy(update={"data": data, "content": to_json(data).decode()})
        return self.unfit() if self.corrections >= MOST_CORRECTIONS else None

    def unfit(self) -> Outcome:
        """The end of a run whose answer never fits. The fault can quote the answer: where answers
        are checked, only the operator gets it."""
        unfit, fault = "the answer does not fit its schema", self.faults[0]
        return failed(unfit, fault) if self.checks.of_answers else failed(f"{unfit}: {fault}")

    async def conclude(self, turn: int, why: str) -> Outcome:
        """Query the model a last time, without tools, for its best answer."""
        self.context.history.turns.append([User(content=CONCLUDE)])
        completion = await self.query(turn, "conclude", with_tools=False)
        if refused := refusal_outcome(completion):
            return refused
        if not completion.text:
            return failed(f"no answer: {why}")
        partial = Outcome(status=Status.PARTIAL, content=completion.text, detail=why)
        return self.checked(partial) or self.unfit()

    async def guarded(self, turn: int, outcome: Outcome) -> Outcome:
        """The outcome as the checks of its answer leave it: they are made once it is recorded."""
        if not self.checks.of_answers or outcome.status not in CHECKABLE:
            return outcome
        await self.record_reply()
        return await self.checks.answer(turn, outcome, self.data, self.usage)

    def end(self, outcome: Outcome) -> Outcome:
        """The outcome with the run's usage; its last reply is left to be committed with the end."""
        if self.unrecorded is not None:
            key, name, output = self.unrecorded
            self.journal.record_at_end(key, "model", name, output)
        usage = self.usage + self.checks.usage
        return outcome.model_copy(update={"usage": usage, "model": self.model_name})
