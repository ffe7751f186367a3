"""A request of either wire as the mocks see it, and what the model behind a mock says next."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

SILENT = "Say nothing at first."
"""In the user's text: the reply after the first results is empty, until the model is nudged."""
NUDGED = "Your last reply was empty"
LAST = "can call no more tools"
CONCLUSION = "As far as I know: found 1."
ANSWER = "Done."

Body = dict[str, Any]


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]

    @property
    def text(self) -> str:
        return json.dumps(self.arguments)


@dataclass(frozen=True)
class Line:
    """What the model says: a text, or calls. `turn` counts the turns with calls before it."""

    turn: int
    text: str = ""
    calls: tuple[Call, ...] = ()


CALLS = (
    (Call("lookup", {"order": 1}), Call("bob", {"prompt": "write"})),
    (Call("lookup", {"order": 2}),),
)
"""The calls of the first two turns; after them comes the answer."""


def called(body: Body) -> list[list[Body]]:
    """The calls in the history, turn by turn."""
    if "messages" in body:
        return [it["tool_calls"] for it in body["messages"] if it.get("tool_calls")]
    turns: list[list[Body]] = []
    before = ""
    for item in body["input"]:
        kind = item.get("type", "message")
        if kind == "function_call":
            if before != "function_call":
                turns.append([])
            turns[-1].append(item)
        before = kind
    return turns


def line(body: Body) -> Line:
    """The next line, from the request alone: a resumed run gets the same."""
    turn, said = len(called(body)), json.dumps(body)
    idle = body.get("tool_choice") == "none" or LAST in said
    if not body.get("tools") or idle:
        return Line(turn, CONCLUSION if turn else ANSWER)
    if turn == 1 and SILENT in said and NUDGED not in said:
        return Line(turn)
    return Line(turn, calls=CALLS[turn]) if turn < len(CALLS) else Line(turn, ANSWER)
