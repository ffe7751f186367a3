"""Printing and asking. Texts of models and people are printed without markup and control codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import datetime

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from shared.contract.messages import Budget, Usage

GAP = 2
"""Characters between two columns."""
LAST_CHARS = 20
"""The least width of a table's last column, even if that makes a line longer than the terminal."""
PIPED_WIDTH = 200
"""The width of a table that goes to a file or a pipe."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text without control codes, which could move the cursor or change the title."""
    return _CONTROL.sub("", text)


def say(text: str) -> None:
    """Print one or more lines on stdout."""
    typer.echo(plain(text))


def remark(text: str) -> None:
    """Print a line on stderr: stdout is for the result only."""
    typer.echo(plain(text), err=True)


def local_time(at: datetime) -> str:
    """The time on this machine's clock, to the second. One that it can't show is in UTC, marked."""
    try:
        return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):  # near the years 1 and 9999
        return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def spent(budget: Budget, usage: Usage) -> str:
    """A sentence on what was spent of a budget, which can be more than the budget."""
    pairs = (
        ("model calls", usage.model_calls, budget.model_calls),
        ("tokens", usage.tokens, budget.tokens),
        ("USD", usage.cost or 0.0, budget.cost),
    )
    parts = [f"{number} of {limit} {unit}" for unit, number, limit in pairs if limit is not None]
    over = ": more than the budget" if budget.overshot(usage) else ""
    return f"spent {' and '.join(parts)}{over}"


def show_table(
    columns: list[str], rows: list[list[str]], *, piped_width: int = PIPED_WIDTH
) -> None:
    """Print a table. Columns whose names end in `#` hold numbers and are aligned right.

    Only the last column is cut if there is no room, so that every id can be copied.
    """
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for name in columns:
        numeric = name.endswith("#")
        table.add_column(name.rstrip("#"), justify="right" if numeric else "left", no_wrap=True)
    cells = [[Text(plain(cell)) for cell in row] for row in rows]
    heads = [Text(name.rstrip("#")) for name in columns]
    longest = [max(cell.cell_len for cell in column) for column in zip(heads, *cells, strict=True)]
    before = sum(longest[:-1]) + GAP * len(longest)
    console = _console(piped_width)
    room = max(LAST_CHARS, console.width - before)
    console.width = max(console.width, before + room)
    for row in cells:
        row[-1].truncate(room, overflow="ellipsis")
        table.add_row(*row)
    console.print(table)


def show(renderable: RenderableType) -> None:
    _console().print(renderable)


def tail(console: Console, texts: Iterable[str]) -> Text:
    """The end of some texts, in as many lines as half of the terminal holds."""
    room = max(1, console.height // 2)
    end = plain("\n\n".join(texts))[-room * console.width :]
    lines = Text(end).wrap(console, console.width)[-room:]
    return Text("\n").join(lines)


def confirmed(question: str) -> bool:
    """Ask a yes-or-no question on a terminal; without a terminal the answer is yes."""
    return typer.confirm(question, default=True) if sys.stdin.isatty() else True


def _console(piped_width: int = PIPED_WIDTH) -> Console:
    return Console(width=None if sys.stdout.isatty() else piped_width, highlight=False)
