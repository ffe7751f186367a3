"""The script: a reply is chosen by directives, by the script's rules, or by the generic rule."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from string import Template

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from services.scripted.arguments import arguments_for, has_arguments
from services.scripted.conversation import Conversation, Schema
from services.scripted.directives import Call

BRIEF_LENGTH = 300
"""A text that is repeated in another is cut at this length, so that chains don't grow for ever."""


class Turn(BaseModel):
    """The calls of a turn by tool, with templates for their arguments, or a reply."""

    model_config = ConfigDict(extra="forbid")

    calls: dict[str, dict[str, str]] = {}
    reply: str = ""


class Rule(BaseModel):
    """A rule, which matches if all its conditions hold.

    `system`, `asked` and `answered` are patterns that are searched in the system text, the user's
    text and the latest answer that a tick lists; `tools` are offered or have returned a result;
    `results` are patterns that are searched in the last results of tools; `notes` are peers with a
    note. Templates have the variables `$asked`, `$results`, the last result of each tool and the
    note of each peer by its name, and the named groups of `asked` and `answered`. `${tool.key}` is
    a value of a result that is a JSON object.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    system: str = ""
    asked: str = ""
    answered: str = ""
    tools: list[str] = []
    results: dict[str, str] = {}
    notes: list[str] = []
    turns: list[Turn]


@dataclass(frozen=True)
class Line:
    """The reply of one turn: calls, or a text if there are none."""

    text: str = ""
    calls: tuple[Call, ...] = ()


class Script:
    """The rules in their order; the first one that matches is used."""

    def __init__(self, rules: list[Rule]) -> None:
        self._rules = rules

    @classmethod
    def shipped(cls) -> Script:
        text = files(__package__).joinpath("script.yaml").read_text("utf-8")
        return cls(TypeAdapter(list[Rule]).validate_python(yaml.safe_load(text)))

    def line(self, talk: Conversation) -> Line:
        directives = talk.directives
        if directives.calls and talk.tools:
            return Line(calls=directives.calls)
        if "malformed" in directives.flags and talk.tools:
            return Line(calls=_generic_calls(talk, talk.tools)[:1])
        if directives.reply is not None:
            return Line(directives.reply)
        for rule in self._rules:
            if (groups := _match(rule, talk)) is not None:
                return _line(rule, talk, groups)
        return _generic(talk)


def _match(rule: Rule, talk: Conversation) -> dict[str, str] | None:
    """The named groups of the patterns; None if the rule doesn't match.

    A rule that needs tools does not match a text that names others only.
    """
    named = _named(talk)
    matches = (
        re.search(rule.system, talk.system)
        and not (rule.tools and named and named.isdisjoint(rule.tools))
        and all(tool in talk.tools or tool in talk.results for tool in rule.tools)
        and all(re.search(it, talk.results.get(tool, "")) for tool, it in rule.results.items())
        and all(peer in talk.notes for peer in rule.notes)
    )
    asked, answered = re.search(rule.asked, talk.asked), re.search(rule.answered, talk.answered)
    return asked.groupdict("") | answered.groupdict("") if matches and asked and answered else None


def _line(rule: Rule, talk: Conversation, groups: dict[str, str]) -> Line:
    words = {
        **groups,
        **{peer: brief(note) for peer, note in talk.notes.items()},
        **talk.results,
        **_values(talk.results),
        "asked": brief(talk.asked),
        "results": _returned(talk),
    }
    turns = _one_by_one(rule.turns) if talk.by_schema else rule.turns
    turn = turns[min(talk.turn, len(turns) - 1)]
    if turn.calls and talk.tools:
        return Line(
            calls=tuple(
                Call(tool, _arguments(arguments, words, talk.tools.get(tool, {})))
                for tool, arguments in turn.calls.items()
            )
        )
    return Line(_filled(rule.turns[-1].reply if turn.calls else turn.reply, words))


def _one_by_one(turns: list[Turn]) -> list[Turn]:
    """The same turns with one call each, for `tool_protocol: schema`."""
    return [
        part
        for turn in turns
        for part in ([Turn(calls={k: v}) for k, v in turn.calls.items()] or [turn])
    ]


class _Template(Template):
    braceidpattern = r"[\w-]+(?:\.\w+)?"


def _filled(template: str, words: dict[str, str]) -> str:
    return _Template(template).safe_substitute(words).strip()


def _arguments(
    templates: dict[str, str], words: dict[str, str], schema: Schema
) -> dict[str, object]:
    """The arguments of a call, numbers where the tool's schema says so."""
    filled = {key: _filled(template, words) for key, template in templates.items()}
    return {key: _number(value, key, schema) for key, value in filled.items()}


def _number(value: str, key: str, schema: Schema) -> object:
    fields = schema.get("properties")
    field = fields.get(key) if isinstance(fields, dict) else None
    if isinstance(field, dict) and field.get("type") in ("integer", "number"):
        with suppress(ValueError):
            return int(value) if value.isdecimal() else float(value)
    return value


def _values(results: dict[str, str]) -> dict[str, str]:
    """The values of the results that are JSON objects, by `tool.key`."""
    found: dict[str, str] = {}
    for tool, result in results.items():
        with suppress(ValueError):
            value = json.loads(result)
            if isinstance(value, dict):
                found |= {f"{tool}.{key}": str(it) for key, it in value.items()}
    return found


def _generic(talk: Conversation) -> Line:
    if (talk.by_schema or not talk.turn) and (calls := _generic_calls(talk, _chosen(talk))):
        return Line(calls=calls)
    asked = f'I was asked: "{brief(talk.asked)}".'
    return Line(f"{asked} {_returned(talk)}".strip())


def _generic_calls(talk: Conversation, tools: dict[str, Schema]) -> tuple[Call, ...]:
    text = brief(talk.asked) or "Begin."
    calls = (
        Call(name, arguments_for(schema, text))
        for name, schema in tools.items()
        if name not in talk.results
    )
    return tuple(calls)


def _chosen(talk: Conversation) -> dict[str, Schema]:
    """The tools that the text names, or else all, without those for which it has no arguments."""
    wanted = _named(talk) or talk.tools.keys()
    return {
        name: schema
        for name, schema in talk.tools.items()
        if name in wanted and has_arguments(schema, talk.asked)
    }


def _named(talk: Conversation) -> set[str]:
    return {it for it in talk.tools if re.search(rf"(?i)\b{re.escape(it)}\b", talk.asked)}


def _returned(talk: Conversation) -> str:
    return " ".join(f'{tool} returned: "{brief(it)}".' for tool, it in talk.results.items())


def brief(text: str) -> str:
    """The text on one line, cut to `BRIEF_LENGTH`."""
    line = " ".join(text.split())
    return line if len(line) <= BRIEF_LENGTH else line[: BRIEF_LENGTH - 1] + "…"
