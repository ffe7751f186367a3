"""The checks of a run's task and answer. Each is a step, so a resumed run goes on with its verdict.

Nothing passes that has not been checked: a check that fails refuses the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pydantic import ValidationError
from pydantic_core import to_json

from services.agent.llm.chat import Model
from services.agent.loop.budget import is_spent, remaining
from services.agent.loop.calls import Tools
from services.agent.loop.data import AnswerData
from services.agent.loop.guardrails.model_check import judged
from services.agent.loop.journal import Journal, StepKey, StepKind, parse_output
from services.agent.loop.preparation import TURN
from services.agent.loop.work import Outcome, Work, failed
from shared.contract.messages import Budget, Status, Task, Usage
from shared.definitions.guardrails import Check, Guardrails, Verdict
from shared.definitions.tools.checks import TEXT
from shared.errors import ModelError, ModelUnavailable, ToolError
from shared.validation import first_fault

MODEL_STEP = "check"
"""The name of the step of a check by a model; that of a function has the function's."""

ModelOf = Callable[[str], Model]
"""The model of a check, by its name in the agent's file."""


class Checks:
    """The checks of one run, and what they have used."""

    def __init__(self, work: Work, tools: Tools, model_of: ModelOf, journal: Journal) -> None:
        self._rules = work.definition.guardrails or Guardrails()
        self._budget = work.message.budget or Budget()
        self._tools = tools
        self._model_of = model_of
        self._journal = journal
        self.usage = Usage()

    @property
    def of_answers(self) -> bool:
        """Whether answers are checked."""
        return bool(self._rules.output)

    @property
    def reserved(self) -> Usage:
        """The model calls that the checks of the answer will make."""
        return Usage(model_calls=sum(it.model is not None for it in self._rules.output))

    async def task(self, work: Work) -> tuple[Work, Outcome | None]:
        """The work with the task as its checks leave it, or the outcome of a task that is refused.

        Raises `ModelUnavailable` and what the journal does.
        """
        text = work.message.prompt
        if not text:  # a trigger without a text of its own
            return work, None
        checks = self._rules.input
        checked = await self._apply(checks, TURN, -len(checks), text, "task", Usage())
        if isinstance(checked, Outcome) or checked == text:
            return work, checked if isinstance(checked, Outcome) else None
        update: dict[str, object] = {"content": checked}
        if isinstance(work.message, Task):
            update["context"] = None
        message = work.message.model_copy(update=update)
        return work.model_copy(update={"message": message}), None

    async def answer(
        self, turn: int, outcome: Outcome, data: AnswerData | None, used: Usage
    ) -> Outcome:
        """The outcome as the checks of its text leave it; `used` is the usage of the run's turns.

        A text that is changed still has to fit the schema. Raises as `task` does.
        """
        checked = await self._apply(self._rules.output, turn, 1, outcome.content, "answer", used)
        if isinstance(checked, Outcome) or checked == outcome.content:
            return checked if isinstance(checked, Outcome) else outcome
        if data is None or outcome.data is None:
            return outcome.model_copy(update={"content": checked})
        value, faults = data.read(checked)
        if faults:
            return _refusal("answer", None, f"changed, it does not fit its schema: {faults[0]}")
        return outcome.model_copy(update={"data": value, "content": to_json(value).decode()})

    async def _apply(
        self, checks: Sequence[Check], turn: int, first: int, text: str, what: str, used: Usage
    ) -> str | Outcome:
        """The text after all checks, in order; each gets what those before it have left."""
        for place, check in enumerate(checks, first):
            left = remaining(self._budget, used + self.usage)
            verdict = await self._verdict(StepKey(turn, place), check, text, left)
            if verdict is None:
                return failed(f"the budget was spent before its {what} was checked")
            self.usage += verdict.usage
            if verdict.outcome not in {"passed", "changed"}:
                return _refusal(what, verdict.reason, f"{check.label}: {_why(verdict)}")
            text = text if verdict.text is None else verdict.text
        return text

    async def _verdict(self, key: StepKey, check: Check, text: str, left: Budget) -> Verdict | None:
        """The recorded verdict, or a new one; None if the budget allows no call of a model."""
        kind: StepKind = "tool" if check.function else "model"
        name = check.function or MODEL_STEP
        if (recorded := self._journal.recorded(key, kind, name)) is not None:
            return parse_output(Verdict, key, recorded)
        if check.function is None and is_spent(left):
            return None
        await self._journal.begin(key)
        try:
            verdict = await self._judge(key, check, text, left)
        except ToolError as error:
            verdict = Verdict(outcome="failed", detail=error.detail or str(error))
        except ModelUnavailable:
            raise
        except ModelError as error:
            verdict = Verdict(outcome="failed", detail=str(error))
        if verdict.text == text:
            verdict = verdict.model_copy(update={"outcome": "passed", "text": None})
        await self._journal.record(key, kind, name, verdict.output())
        return verdict

    async def _judge(self, key: StepKey, check: Check, text: str, left: Budget) -> Verdict:
        if check.function is None:
            model = self._model_of(check.model or "")
            return await judged(model, check.check or "", text, left.tokens)
        said = await self._tools.call(key, check.function, {TEXT: text})
        try:
            return Verdict.model_validate_json(said)
        except ValidationError as error:
            return Verdict(outcome="failed", detail=first_fault(error))


def _why(verdict: Verdict) -> str:
    return f"{verdict.outcome}: {verdict.detail or verdict.reason or 'no reason was given'}"


def _refusal(what: str, reason: str | None, detail: str) -> Outcome:
    """The outcome of a refused text. The requester sees only a reason that was written for it."""
    content = f"the {what} was refused by one of the agent's checks"
    content = f"{content}: {reason}" if reason else content
    return Outcome(status=Status.REFUSED, content=content, detail=detail)
