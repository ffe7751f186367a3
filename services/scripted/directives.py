"""What a test asks of the scripted model, written into the user's text; see the package."""

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
    """One call of a tool, its arguments as the JSON object they will be."""

    tool: str
    arguments: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    status: int
    times: int
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Orders:
    """What is asked of one turn."""

    latency_s: float = 0.0
    fault: Fault | None = None
    reply: str | None = None
    calls: tuple[Call, ...] = ()
    flags: frozenset[str] = frozenset()


def parse(text: str) -> tuple[str, tuple[Orders, ...]]:
    """The text without its directives, and the orders of each part in turn; at least one.

    Raises `BadMessage`. Words in double brackets that are no directive stay in the text.
    """
    said: list[str] = []
    parts = [Orders()]
    end = 0
    for start, stop, name, words in _directives(text):
        said.append(text[end:start])
        end = stop
        if name == "then":
            parts.append(Orders())
        else:
            parts[-1] = _obeyed(parts[-1], name, words)
    said.append(text[end:])
    return re.sub(r" {2,}", " ", "".join(said)).strip(), tuple(parts)


def orders_of(parts: tuple[Orders, ...], turn: int) -> Orders:
    """What holds in this turn, counted from 0 since the user spoke."""
    last = len(parts) - 1
    if turn <= last or "again" in parts[last].flags:
        return parts[min(turn, last)]
    return replace(parts[last], calls=(), flags=parts[last].flags - {"malformed"})


def _directives(text: str) -> Iterator[tuple[int, int, str, str]]:
    """Start, end, name and words of each; directives inside another belong to that one."""
    position = 0
    while match := _OPEN.search(text, position):
        depth = 1
        for bracket in re.finditer(r"\[\[|\]\]", text[match.end() :]):
            depth += 1 if bracket[0] == "[[" else -1
            if not depth:
                break
        else:
            return  # never closed: cut off, or no directive
        position = match.end() + bracket.end()
        yield match.start(), position, match[1], text[match.end() : position - 2].strip()


def _obeyed(orders: Orders, name: str, words: str) -> Orders:
    match name:
        case "latency":
            return replace(orders, latency_s=_seconds(words))
        case "fail":
            return replace(orders, fault=_fault(words))
        case "reply":
            return replace(orders, reply=words)
        case "call":
            return replace(orders, calls=(*orders.calls, _call(words)))
        case _:
            return replace(orders, flags=orders.flags | {name})


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
