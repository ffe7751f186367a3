"""Calls that a model makes again and again in consecutive turns."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import NamedTuple

from services.agent.llm.chat import ToolCall
from shared.errors import ToolError

MOST_MADE = 2
"""A call with the same arguments is made in so many consecutive turns; then it is only answered."""
MOST_ASKED = 5
"""After so many consecutive turns with the same call, the run concludes."""


class _Row(NamedTuple):
    name: str
    turns: int
    answer: str


class Repeats:
    """The calls of the last turn, and in how many consecutive turns each was made.

    It depends only on the model's replies and their answers, which a resumed run reads from its
    journal. A `repeatable` tool may be polled: while its answers differ, its turns count anew.
    """

    def __init__(self, repeatable: Collection[str]) -> None:
        self._repeatable = repeatable
        self._rows: dict[str, _Row] = {}

    def is_futile(self, call: ToolCall) -> bool:
        """Whether the call must not be made again in this turn."""
        row = self._rows.get(_identity(call))
        return row is not None and row.turns >= MOST_MADE

    @property
    def endless(self) -> str | None:
        """The name of a call because of which the run concludes."""
        return next((row.name for row in self._rows.values() if row.turns >= MOST_ASKED), None)

    def add(self, calls: Sequence[ToolCall], answers: Sequence[str]) -> None:
        """Count a turn's calls. A call that is not among them is forgotten."""
        rows: dict[str, _Row] = {}
        for call, answer in zip(calls, answers, strict=True):
            identity = _identity(call)
            rows[identity] = _Row(call.name, self._turns(call, identity, answer), answer)
        self._rows = rows

    def _turns(self, call: ToolCall, identity: str, answer: str) -> int:
        before = self._rows.get(identity)
        if before is None:
            return 1
        is_poll = call.name in self._repeatable and before.turns < MOST_MADE
        return 1 if is_poll and answer != before.answer else before.turns + 1


def _identity(call: ToolCall) -> str:
    """The call's name and arguments, whatever their order and spacing."""
    try:
        arguments = json.dumps(call.parsed(), sort_keys=True)
    except ToolError:
        arguments = call.arguments
    return f"{call.name} {arguments}"
