"""What fits into a model's context: the estimate of tokens, and what is left out of a history.

Everything here is computed from a run's work and its recorded steps, so a resumed run computes the
same. What is left out is itself a recorded step.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import Literal

from pydantic_core import to_json

from services.agent.llm.chat import Completion, Request, ToolResult, ToolSpec
from services.agent.loop.endings import refusal_outcome
from services.agent.loop.window.history import Cut, History, newest
from services.agent.loop.window.summary import summary_request
from services.agent.loop.work import Work
from shared.contract.messages import Budget, Usage
from shared.definitions.results import capped
from shared.errors import ContextExceeded

CHARS_PER_TOKEN = 3.0
"""Before the endpoint has reported a usage: fewer than English has, more than Chinese."""

CHARS_PER_TOKEN_BOUNDS = (0.5, 4.0)
"""A ratio outside these comes from a wrong usage, or from one of few tokens."""

FILLED = 0.8
"""The share of the context that a request and the reply's reserve take at most."""

REPLY_END = 0.95
"""The share of the context at which a reply ends that a budget would let go on."""

RESERVE_TOKENS = 8_000
"""For the reply where the agent's file sets no limit, but at most an eighth of the context."""

NEWEST_TURNS = 3
"""So many turns are shown whole as long as they fit."""

SUMMARY_CHARS = 6_000
"""The length of a summary, but at most an eighth of the room."""

RECALLED_SHARE, NOTES_SHARE = 0.25, 0.1
"""The shares of the room for a session's earlier exchanges and for notes, once it is short."""

LEFT_AFTER_REFUSAL = 0.6
"""The share of a refused request's length that the next one has at most."""

LEAST_ROOM = 2_000
"""With less room a summary would soon be due again after every turn."""

LEAST_RESULT = 200
"""No result is cut to less."""

LEAST_CALLS = 3
"""A budget must have so many model calls for a summary to be asked: two are left after it."""

LEAST_SUMMARIES = 4
"""A budget must have tokens for so many summaries for one to be asked."""


class Context:
    """The part of a run's history that its model is shown, and its length.

    Lengths are in characters unless they are called tokens. The *room* is what a request leaves for
    notes, earlier exchanges and turns, beside the system text, the task and the tools.
    """

    def __init__(self, work: Work, tools: Sequence[ToolSpec]) -> None:
        self._work = work
        self.history = History(work)
        self.cut = Cut()
        self._chars_per_token = CHARS_PER_TOKEN
        self.offer(tools)

    def offer(self, tools: Sequence[ToolSpec]) -> None:
        """Set the tools of the next requests."""
        self._tools = tools
        self._tools_size = sum(len(to_json(it)) for it in tools)

    @property
    def _fixed(self) -> int:
        """The length of the system text, the task and the tools."""
        return self._tools_size + self._opening_size

    @cached_property
    def _opening_size(self) -> int:
        return self.history.opening_size(Cut(notes=0, recalled=0))

    @property
    def window(self) -> int | None:
        """The length of the model's context in tokens, if it is known."""
        known = (self._work.window, self.cut.window)
        return min((it for it in known if it is not None), default=None)

    def request(self, budget: Budget, with_tools: bool) -> Request:
        """The request for the next reply, which the budget and the context limit."""
        most = self._reply_limit(budget, self.size(), self.window)
        return Request(self.history.shown(self.cut), self._tools, most, with_tools)

    def size(self, cut: Cut | None = None) -> int:
        """The length of the next request, with another cut if one is given."""
        return self._tools_size + self.history.size(cut or self.cut)

    def learn(self, usage: Usage) -> None:
        """Learn the length of a token from the usage of the latest request."""
        if usage.input_tokens and usage.model_calls:
            lowest, highest = CHARS_PER_TOKEN_BOUNDS
            ratio = self.size() * usage.model_calls / usage.input_tokens
            self._chars_per_token = min(max(ratio, lowest), highest)

    def next_cut(self, refusal: ContextExceeded | None = None) -> Cut | None:
        """The cut that makes the next request fit, still without its summary.

        None if none is needed or nothing more can be left out. A request that was refused is too
        long whatever its estimate.
        """
        if refusal is None and self.window is None:
            return None
        length = self.size()
        window = self._learned(length, refusal) if refusal else self.window
        if window is None:
            return None
        most = self._most(window)
        if refusal:
            most = min(most, int(length * LEFT_AFTER_REFUSAL))
        elif length <= most:
            return None
        cut = self._shortened(most)
        if cut == self.cut:
            return None
        learned = window if refusal else cut.window
        return cut.model_copy(update={"window": learned, "usage": Usage(), "model": None})

    def summary_request(self, cut: Cut, budget: Budget) -> Request | None:
        """The request to summarise the turns that a cut leaves out.

        None if it leaves out none, or if a summary would take more than the budget or the room can
        spare.
        """
        turns = self.history.turns[self.cut.left_out : cut.left_out]
        window, most, room = self._space(cut)
        if not turns or room < LEAST_ROOM:
            return None
        request = summary_request(
            self._work.message.prompt,
            self.cut.content,
            turns,
            summary_chars=_summary_size(room),
            most_chars=most,
            most_tokens=self._reply_limit(budget, most, window),
        )
        tokens = sum(len(it.content or "") for it in request.history) / self._chars_per_token
        few_calls = budget.model_calls is not None and budget.model_calls < LEAST_CALLS
        few_tokens = budget.tokens is not None and budget.tokens < LEAST_SUMMARIES * tokens
        return None if few_calls or few_tokens else request

    def summarised(self, cut: Cut, reply: Completion | None) -> Cut:
        """The cut with the summary that a model has replied. Without a text of its own, the turns
        have no summary."""
        if reply is None or refusal_outcome(reply) or not reply.text:
            lost = cut.unsummarised + cut.left_out - self.cut.left_out
            cut = cut.model_copy(update={"unsummarised": lost})
        else:
            _, _, room = self._space(cut)
            content = capped(reply.text, 2 * _summary_size(room))  # some write more than was asked
            cut = cut.model_copy(update={"content": content})
        if reply:
            cut = cut.model_copy(update={"usage": reply.usage, "model": reply.model})
        return cut

    def _space(self, cut: Cut) -> tuple[int, int, int]:
        """The context in tokens after a cut, the length of a request in it, and its room."""
        window = cut.window or self.window or 0
        most = self._most(window)
        return window, most, max(0, most - self._fixed)

    def _reply_limit(self, budget: Budget, length: int, window: int | None) -> int | None:
        """The longest reply in tokens to a request of this length that a budget and the context
        leave; None: the budget doesn't limit it."""
        if budget.tokens is None or window is None:
            return budget.tokens
        left = int(window * REPLY_END - length / self._chars_per_token)
        return max(1, min(budget.tokens, max(left, window // 8)))

    def _learned(self, length: int, refusal: ContextExceeded) -> int:
        """The length of the context in tokens, as we estimate these, after a refusal.

        The context that an endpoint names counts only if the request is near it by our estimate.
        Otherwise the estimate is too low, and what doesn't fit by it is the better measure.
        """
        refused = int(length / self._chars_per_token)
        named = refusal.window
        if named is None or refused < named * FILLED / 2:
            named = refused
        return max(1, min(named, self.window or named))

    def _most(self, window: int) -> int:
        """The length that a request may have in a context of `window` tokens."""
        reserve = self._work.definition.model.max_output_tokens
        if reserve is None:
            reserve = min(RESERVE_TOKENS, window // 8)
        tokens = max(window // 10, int(window * FILLED) - reserve)
        return int(tokens * self._chars_per_token)

    def _shortened(self, most: int) -> Cut:
        """The cut that leaves half of the room free, so that the next one is not due soon.

        First results that are too long for the newest turns to fit are cut, and the opening's share
        is kept; then old results are removed; then old turns are left out.
        """
        room = max(0, most - self._fixed)
        goal = self._fixed + room // 2
        cut = self._results_cut(self._opening_cut(self.cut, room), room)
        for kept in (NEWEST_TURNS, 1):
            last = len(self.history.turns) - kept
            cut = self._least(cut, "removed", last, goal)
            if self.size(cut) > self._fixed + room * 2 // 3:
                cut = self._least(cut, "left_out", last, goal - _summary_size(room))
            if self.size(cut) <= most:
                return cut
        return cut.model_copy(update={"recalled": 0, "notes": 0})

    def _opening_cut(self, cut: Cut, room: int) -> Cut:
        """The cut with the newest exchanges and notes that fit into their shares of the room."""
        exchanges = [len(asked) + len(answered) for asked, answered in self._work.recalled]
        notes = [len(note) for note in self._work.notes]
        recalled = _fitting(newest(exchanges, cut.recalled), int(room * RECALLED_SHARE))
        noted = _fitting(newest(notes, cut.notes), int(room * NOTES_SHARE))
        return cut.model_copy(
            update={
                "recalled": recalled if recalled < len(exchanges) else cut.recalled,
                "notes": noted if noted < len(notes) else cut.notes,
            }
        )

    def _results_cut(self, cut: Cut, room: int) -> Cut:
        """The cut with results short enough for those of the newest turns to fill half the room."""
        turns = self.history.turns[-NEWEST_TURNS:]
        results = [len(it.content) for turn in turns for it in turn if isinstance(it, ToolResult)]
        most = cut.result_chars
        if sum(it if most is None else min(it, most) for it in results) <= room // 2:
            return cut
        most = max(LEAST_RESULT, room // 2 // len(results))
        return cut.model_copy(update={"result_chars": min(most, cut.result_chars or most)})

    def _least(self, cut: Cut, name: Literal["removed", "left_out"], last: int, goal: int) -> Cut:
        """The cut with the smallest number of turns, up to `last`, that meets the goal."""
        first: int = getattr(cut, name)
        cuts = [cut.model_copy(update={name: it}) for it in range(first, max(first, last) + 1)]
        place = bisect_left(cuts, 1, key=lambda it: self.size(it) <= goal)
        return cuts[min(place, len(cuts) - 1)]


def _summary_size(room: int) -> int:
    return min(SUMMARY_CHARS, room // 8)


def _fitting(lengths: Sequence[int], most: int) -> int:
    """How many of the last lengths fit together."""
    totals = list(accumulate(reversed(lengths)))
    return bisect_right(totals, most)
