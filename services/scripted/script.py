"""What the scripted model says: directives first, then the script's rules, then a generic one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from string import Template

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.scripted.arguments import arguments_for
from services.scripted.conversation import Conversation
from services.scripted.directives import Call

BRIEF_LENGTH = 300
"""Characters of a text that are repeated within another, so that chains don't grow for ever."""


class Turn(BaseModel):
    """Calls by tool, with templates for the arguments, or a reply."""

    model_config = ConfigDict(extra="forbid")

    calls: dict[str, dict[str, str]] = {}
    reply: str = ""


class Rule(BaseModel):
    """Fits when all that it names fits; `system`, `said` and `answered` are searched as patterns.

    Templates know `$asked`, `$results`, the last result of each tool and the note of each
    peer by its name, and the named groups of `said` and `answered`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    system: str = ""
    said: str = ""
    answered: str = ""
    tools: list[str] = []
    notes: list[str] = []
    turns: list[Turn]


@dataclass(frozen=True)
class Line:
    """What is said in one turn: calls, or else a text."""

    text: str = ""
    calls: tuple[Call, ...] = ()


class Script:
    """The rules in their order; the first that fits speaks."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    @classmethod
    def shipped(cls) -> Script:
        text = files(__package__).joinpath("script.yaml").read_text("utf-8")
        return cls(TypeAdapter(list[Rule]).validate_python(yaml.safe_load(text)))

    def line(self, talk: Conversation) -> Line:
        orders = talk.orders
        if orders.calls and talk.tools:
            return Line(calls=orders.calls)
        if "malformed" in orders.flags and talk.tools:
            return Line(calls=_generic_calls(talk)[:1])
        if orders.reply is not None:
            return Line(orders.reply)
        for rule in self._rules:
            if (groups := _fits(rule, talk)) is not None:
                return _played(rule, talk, groups)
        return _generic(talk)


def _fits(rule: Rule, talk: Conversation) -> dict[str, str] | None:
    """The named groups of the patterns; None: the rule does not fit."""
    fits = (
        re.search(rule.system, talk.system)
        and all(tool in talk.tools or tool in talk.results for tool in rule.tools)
        and all(peer in talk.notes for peer in rule.notes)
    )
    said, answered = re.search(rule.said, talk.said), re.search(rule.answered, talk.answered)
    return said.groupdict("") | answered.groupdict("") if fits and said and answered else None


def _played(rule: Rule, talk: Conversation, groups: dict[str, str]) -> Line:
    words = {
        **groups,
        **{peer: brief(note) for peer, note in talk.notes.items()},
        **talk.results,
        "asked": brief(talk.said),
        "results": _returned(talk),
    }
    turns = _one_by_one(rule.turns) if talk.by_schema else rule.turns
    turn = turns[min(talk.turn, len(turns) - 1)]
    if turn.calls and talk.tools:
        return Line(
            calls=tuple(
                Call(tool, {key: _filled(value, words) for key, value in arguments.items()})
                for tool, arguments in turn.calls.items()
            )
        )
    return Line(_filled(rule.turns[-1].reply if turn.calls else turn.reply, words))


def _one_by_one(turns: list[Turn]) -> list[Turn]:
    """The same calls where a turn is one choice: one call a turn."""
    return [
        part
        for turn in turns
        for part in ([Turn(calls={k: v}) for k, v in turn.calls.items()] or [turn])
    ]


def _filled(template: str, words: dict[str, str]) -> str:
    return Template(template).safe_substitute(words).strip()


def _generic(talk: Conversation) -> Line:
    if talk.tools.keys() - talk.results.keys() and (talk.by_schema or not talk.turn):
        return Line(calls=_generic_calls(talk))
    asked = f'I was asked: "{brief(talk.said)}".'
    return Line(f"{asked} {_returned(talk)}".strip())


def _generic_calls(talk: Conversation) -> tuple[Call, ...]:
    text = brief(talk.said) or "Begin."
    calls = (
        Call(name, arguments_for(schema, text))
        for name, schema in talk.tools.items()
        if name not in talk.results
    )
    return tuple(calls)


def _returned(talk: Conversation) -> str:
    return " ".join(f'{tool} returned: "{brief(said)}".' for tool, said in talk.results.items())


def brief(text: str) -> str:
    """The text on one line, cut to `BRIEF_LENGTH`."""
    line = " ".join(text.split())
    return line if len(line) <= BRIEF_LENGTH else line[: BRIEF_LENGTH - 1] + "…"
