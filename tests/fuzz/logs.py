"""Log lines that should never appear: errors in our code, and bare traces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LEVELS = {"error", "critical"}
SHOWN = 600
"""Characters of a line that is shown."""
TRACE_LINES = 30
MOST = 1000
"""Faults that are kept: an hour of one of them is enough."""


@dataclass(frozen=True)
class Fault:
    """`kind` is the same for the same fault, wherever and whenever it happens."""

    kind: str
    text: str


def faults(logs: Iterable[Path]) -> list[Fault]:
    """In the order of the logs; a tool's exception is a warning, and none of them."""
    found: list[Fault] = []
    for log in logs:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for fault in in_lines(lines):
                if len(found) < MOST:
                    found.append(fault)
    return found


def in_lines(lines: Iterable[str]) -> Iterator[Fault]:
    """What is no JSON comes from no logger: a trace, a process's last sentence. Lines of it that
    follow each other are one fault."""
    bare: list[str] = []
    for line in filter(None, map(str.rstrip, lines)):
        fields = _fields(line)
        if fields is None:
            bare = [*bare, line][-TRACE_LINES:]
            continue
        yield from _bare(bare)
        bare = []
        if fields.get("level") in LEVELS:
            trace = str(fields.get("exception") or fields.get("reason") or "").splitlines()
            kind = f"{fields.get('message', '')[:SHOWN]}: {''.join(trace[-1:])[:SHOWN]}"
            yield Fault(kind, "\n".join([line[:SHOWN], *trace[-TRACE_LINES:]]))
    yield from _bare(bare)


def _bare(lines: list[str]) -> Iterator[Fault]:
    if lines:
        yield Fault(lines[-1].strip()[:SHOWN], "\n".join(it[:SHOWN] for it in lines))


def _fields(line: str) -> dict[str, str] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def kinds(found: Iterable[Fault]) -> Iterator[tuple[str, int, Fault]]:
    """Each kind, how often, and the first of it."""
    seen: dict[str, list[Fault]] = {}
    for it in found:
        seen.setdefault(it.kind, []).append(it)
    for kind, them in seen.items():
        yield kind, len(them), them[0]
