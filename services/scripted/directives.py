"""Directives for the scripted model in the user's text; the package's docstring lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shared.errors import BadMessage

_OPEN = re.compile(
    r"\[\[(latency|fail|reply|call|malformed|length|refuse|empty|drop|then|again)\b\s*"
)
_FAIL = re.compile(r"([45]\d\d)\s+(\d+)(?:\s+retry-after\s+(\d+))?")
_CALL = re.compile(r"([\w-]+)\s*")


@dataclass(frozen=True)
class Call:
    """One call of a tool; its arguments are the JSON object that is sent."""

    tool: str
    arguments: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    status: int
    times: int
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Directives:
    """The directives for one turn."""

    latency_s: float = 0.0
    fault: Fault | None = None
    reply: str | None = None
    calls: tuple[Call, ...] = ()
    flags: frozenset[str] = frozenset()


def parse(text: str) -> tuple[str, tuple[Directives, ...]]:
    """The text without its directives, and the directives of each part, at least one.

    Raises `BadMessage`. Words in double brackets that are no directive stay in the text.
    """
    rest: list[str] = []
    parts = [Directives()]
    end = 0
    for start, stop, name, words in _found(text):
        rest.append(text[end:start])
        end = stop
        if name == "then":
            parts.append(Directives())
        else:
            parts[-1] = _added(parts[-1], name, words)
    rest.append(text[end:])
    return re.sub(r" {2,}", " ", "".join(rest)).strip(), tuple(parts)


def directives_for(parts: tuple[Directives, ...], turn: int) -> Directives:
    """The directives for a turn; turns count from 0 since the last user message."""
    last = len(parts) - 1
    if turn <= last or "again" in parts[last].flags:
        return parts[min(turn, last)]
    return replace(parts[last], calls=(), flags=parts[last].flags - {"malformed"})


def _found(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, name and words of each directive; nested ones are words of the outer one."""
    position = 0
    while match := _OPEN.search(text, position):
        depth = 1
        for bracket in re.finditer(r"\[\[|\]\]", text[match.end() :]):
            depth += 1 if bracket[0] == "[[" else -1
            if not depth:
                break
        else:
            return  # never closed, so it was cut off or is no directive
        position = match.end() + bracket.end()
        yield match.start(), position, match[1], text[match.end() : position - 2].strip()


def _added(directives: Directives, name: str, words: str) -> Directives:
    match name:
        case "latency":
            return replace(directives, latency_s=_seconds(words))
        case "fail":
            return replace(directives, fault=_fault(words))
        case "reply":
            return replace(directives, reply=words)
        case "call":
            return replace(directives, calls=(*directives.calls, _call(words)))
        case _:
            return replace(directives, flags=directives.flags | {name})


def _seconds(words: str) -> float:
    try:
        return float(words)
    except ValueError as error:
        raise BadMessage(f"[[latency {words}]]: write seconds, such as 0.5") from error


def _fault(words: str) -> Fault:
    match = _FAIL.fullmatch(words)
    if not match:
        raise BadMessage(f"[[fail {words}]]: write [[fail 503 2]]: status, then tries that fail")
    status, times, retry_after = match.groups()
    return Fault(int(status), int(times), int(retry_after) if retry_after else None)


def _call(words: str) -> Call:
    match = _CALL.match(words)
    try:
        arguments = json.loads(words[match.end() :] or "{}") if match else None
    except ValueError:
        arguments = None
    if not match or not isinstance(arguments, dict):
        raise BadMessage(f'[[call {words}]]: write [[call TOOL {{"key": "value"}}]]')
    return Call(match[1], arguments)
