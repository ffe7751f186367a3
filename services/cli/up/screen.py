"""The lines of several processes on a terminal, each after its process's name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from services.cli.output import plain, say

STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan")
_LOG_LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<rest>\[.*)")
_SERVICE = re.compile(r" service=('[^']*'|\S+)")


class Screen:
    """Prints lines. On a terminal a name has a colour, and a long line continues below its text."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """The column of names is as wide as the longest of `names`, or of those shown later."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._styles: dict[str, str] = {}
        self._width = max(map(len, names), default=0)

    def show(self, name: str, line: str) -> None:
        style = self._styles.setdefault(name, STYLES[len(self._styles) % len(STYLES)])
        self._width = max(self._width, len(name))
        head = Text(f"{name:<{self._width}} | ", style)
        parts = [Text(plain(line))]
        room = self._console.width - len(head)
        if self._console.is_terminal and room > len(head):
            parts = list(Text(_short(plain(line))).wrap(self._console, room))
        for number, part in enumerate(parts):
            indent = head if number == 0 else Text(f"{'':<{self._width}} | ", style)
            self._console.print(indent + part)


def show_json(name: str, line: str) -> None:
    """Print a line as a JSON object: one that is such an object already as it is."""
    if not line.startswith("{"):
        time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        line = json.dumps({"time": time, "message": line, "service": name, "level": "info"})
    say(line)


def _short(line: str) -> str:
    """A line of a log without columns, with the local time, and without what the name says."""
    if not (found := _LOG_LINE.fullmatch(line)):
        return line
    time = datetime.fromisoformat(found["time"]).astimezone()
    text = " ".join(_SERVICE.sub("", found["rest"]).split())
    return f"{time:%H:%M:%S} {text.replace(' ]', ']', 1)}"
