"""The recorded steps that shorten a run's history, before the model call of a turn."""

from __future__ import annotations

from services.agent.llm.chat import Model
from services.agent.loop.budget import remaining
from services.agent.loop.journal import Journal, StepKey, parse_output
from services.agent.loop.window.context import Context
from services.agent.loop.window.history import Cut
from shared.contract.messages import Budget, Usage
from shared.errors import ContextExceeded, ModelError, ModelUnavailable

NAME = "shorten"
TOO_LONG = "the task does not fit into the model's context, whatever else is left out"
INDICES = range(-3, 0)
"""The places of these steps in a turn: before its model call, which is at 0."""


class Shortening:
    """Shortens a history at most three times in each turn."""

    def __init__(self, context: Context, model: Model, journal: Journal) -> None:
        self._context = context
        self._model = model
        self._journal = journal
        self._keys: list[StepKey] = []

    def restore(self, turn: int) -> Usage:
        """Begin a turn with its recorded cuts; returns what their summaries used."""
        self._keys = [StepKey(turn, index) for index in INDICES]
        usage = Usage()
        while self._keys and (recorded := self._journal.recorded(self._keys[0], "model", NAME)):
            cut = self._context.cut = parse_output(Cut, self._keys.pop(0), recorded)
            usage += cut.usage
        return usage

    async def shorten(self, left: Budget, refusal: ContextExceeded | None) -> Usage:
        """Record and apply cuts until the request fits; returns what their summaries used.

        `left` is the run's budget. `refusal` is the answer to the latest request, raised again
        if the request can't be shortened further. Raises `ModelUnavailable` and what
        `Journal.record` raises.
        """
        usage = Usage()
        while self._keys and (cut := self._context.next_cut(refusal)):
            key = self._keys.pop(0)
            cut = await self._summarised(key, cut, remaining(left, usage))
            await self._journal.record(key, "model", NAME, cut.model_dump_json())
            self._context.cut, refusal = cut, None
            usage += cut.usage
        if refusal is not None:
            refusal.public = TOO_LONG
            raise refusal
        return usage

    async def _summarised(self, key: StepKey, cut: Cut, left: Budget) -> Cut:
        """The cut with its summary. If there is none, the turns are left out all the same: the
        run's next call shows whether its model can still be used."""
        reply = None
        if request := self._context.summary_request(cut, left):
            await self._journal.begin(key)
            try:
                reply = await self._model.complete(request)
            except ModelUnavailable:
                raise
            except ModelError:
                reply = None
        return self._context.summarised(cut, reply)
