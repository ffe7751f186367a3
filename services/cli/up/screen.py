"""The lines of several processes on a terminal, each after its process's name."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from services.cli.output import plain

STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan")


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
        head, text = Text(f"{name:<{self._width}} | ", style), Text(plain(line))
        room = self._console.width - len(head)
        parts = [text]
        if self._console.is_terminal and room > len(head):
            parts = list(text.wrap(self._console, room))
        for number, part in enumerate(parts):
            indent = head if number == 0 else Text(f"{'':<{self._width}} | ", style)
            self._console.print(indent + part)
