"""Printing and asking. Texts of models and people are printed without markup and control codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size

import typer
from rich.align import AlignMethod
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from shared.contract.messages import Budget, Usage

GAP = 2
"""Characters between two columns."""
LAST_CHARS = 20
"""The least width of a table's last column, even if that makes a line longer than the terminal."""
PIPED_WIDTH = 200
"""The width of a tree that goes to a file or a pipe."""

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
    """The time on this machine's clock, to the second."""
    return f"{_local(at):%Y-%m-%d %H:%M:%S}"


def clock_time(at: datetime) -> str:
    """The time of day on this machine's clock."""
    return f"{_local(at):%H:%M:%S}"


def short_time(at: datetime, now: datetime) -> str:
    """The local time without its day if that is today, else its day with or without the time."""
    time, today = _local(at), _local(now)
    if time.date() == today.date():
        return clock_time(at)
    return f"{time:%b %d %H:%M}" if time.year == today.year else f"{time:%Y-%m-%d}"


def list_time(at: datetime) -> str:
    """The time in a list: `short_time` on a terminal, `local_time` in a file or a pipe."""
    return short_time(at, datetime.now(UTC)) if sys.stdout.isatty() else local_time(at)


def _local(at: datetime) -> datetime:
    try:
        return at.astimezone()
    except (OverflowError, ValueError, OSError):  # near the years 1 and 9999
        return at


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


def ahead(at: datetime | None) -> str:
    """` in 2 h` for a time in the future, to follow a word such as `due`; otherwise nothing."""
    left_s = (at - datetime.now(UTC)).total_seconds() if at else 0.0
    for unit, seconds, fewest in (("days", 86400, 2), ("h", 3600, 2), ("min", 60, 2), ("s", 1, 1)):
        if left_s >= fewest * seconds:
            return f" in {left_s / seconds:.0f} {unit}"
    return ""


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    spare: Sequence[str] = (),
    width: int | None = None,
) -> None:
    """Print a table. Columns whose names end in `#` hold numbers and are aligned right.

    A column in which no row has anything is left out, unless it is the last. In a file or a pipe
    nothing is cut. On a terminal, or with a `width`, `spare` columns are left out, in their order,
    until the others have room; then the last column is cut. No other column is, so that every id
    can be copied.
    """
    if width is None and sys.stdout.isatty():
        width = get_terminal_size().columns
    heads = [name.rstrip("#") for name in columns]
    cells = [[" ".join(plain(cell).split()) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    last = len(heads) - 1
    shown = [at for at in range(last) if not rows or any(row[at] for row in cells)] + [last]
    if width is not None:
        least = min(widths[last], LAST_CHARS)
        for at in map(heads.index, spare):
            if at in shown and sum(widths[it] + GAP for it in shown[:-1]) + least > width:
                shown.remove(at)
        room = width - sum(widths[it] + GAP for it in shown[:-1])
        widths[last] = min(widths[last], max(room, least))
    for number, row in enumerate((heads, *cells)):
        line = (" " * GAP).join(
            _cell(row[at], widths[at], "right" if columns[at].endswith("#") else "left")
            for at in shown
        )
        typer.secho(line.rstrip(), bold=number == 0 or None)


def _cell(text: str, width: int, align: AlignMethod) -> str:
    cell = Text(text)
    cell.truncate(width, overflow="ellipsis")
    cell.align(align, width)
    return cell.plain


def show(renderable: RenderableType) -> None:
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    Console(width=width, highlight=False).print(renderable)


def tail(console: Console, texts: Iterable[str]) -> Text:
    """The end of some texts, in as many lines as half of the terminal holds."""
    room = max(1, console.height // 2)
    end = plain("\n\n".join(texts))[-room * console.width :]
    lines = Text(end).wrap(console, console.width)[-room:]
    return Text("\n").join(lines)


def confirmed(question: str) -> bool:
    """Ask a yes-or-no question on a terminal; without a terminal the answer is yes."""
    return typer.confirm(question, default=True) if sys.stdin.isatty() else True
