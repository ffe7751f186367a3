"""Splitting a document into passages, each short enough to be read by a model among others."""

from __future__ import annotations

import re
from collections.abc import Iterator

MOST_CHARS = 1_500
"""The length of a passage without its headings: about 400 tokens."""

_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*\s*")
_FENCE = re.compile(r"\s*(```|~~~)")
_NOTE = re.compile(r"\s*\{\s*#[^}]*\}$|<[^>]+>")
"""What generators add to headings: ids and tags."""


def passages(name: str, text: str) -> list[str]:
    """The passages of a Markdown text in order, each below the document's name and the headings
    that it stands under."""
    found: list[str] = []
    for headings, section in _sections(text):
        title = " > ".join([name, *headings])
        found += [f"{title}\n\n{part}" for part in _parts(section)]
    return found


def _sections(text: str) -> Iterator[tuple[list[str], str]]:
    """The text below each heading, with the headings above it from the outermost."""
    headings: dict[int, str] = {}
    lines: list[str] = []
    fence = ""
    for line in text.splitlines():
        if mark := _FENCE.match(line):
            fence = "" if fence == mark[1] else fence or mark[1]
        heading = None if fence else _HEADING.fullmatch(line)
        if heading is None:
            lines.append(line)
            continue
        yield list(headings.values()), "\n".join(lines)
        lines = []
        level = len(heading[1])
        headings = {at: it for at, it in headings.items() if at < level}
        headings[level] = _NOTE.sub("", heading[2]).strip()
    yield list(headings.values()), "\n".join(lines)


def _parts(section: str) -> Iterator[str]:
    """Paragraphs, as many together as fit."""
    part = ""
    for piece in _pieces(section):
        if part and len(part) + len(piece) + 2 > MOST_CHARS:
            yield part
            part = ""
        part = f"{part}\n\n{piece}" if part else piece
    if part:
        yield part


def _pieces(section: str) -> Iterator[str]:
    """Paragraphs; one that is too long is split at a line, a sentence or a word."""
    for paragraph in re.split(r"\n\s*\n", section):
        rest = paragraph.strip("\n").rstrip()
        while len(rest) > MOST_CHARS:
            end = max(rest.rfind("\n", 0, MOST_CHARS), rest.rfind(". ", 0, MOST_CHARS) + 1)
            if end < MOST_CHARS // 2:
                end = rest.rfind(" ", 0, MOST_CHARS)
            end = end if end > 0 else MOST_CHARS
            yield rest[:end]
            rest = rest[end:].strip()
        if rest.strip():
            yield rest
