"""How commands print: texts of models and people as they are, never as markup or control codes."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from shared.messages import Budget, Usage

PIPED_WIDTH = 200
"""Columns of a table that no terminal limits: a file cuts nothing off."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text without control codes, which could move the cursor or change the title."""
    return _CONTROL.sub("", text)


def say(text: str) -> None:
    """A line or more on stdout."""
    typer.echo(plain(text))


def remark(text: str) -> None:
    """A line on stderr, which leaves stdout to the answer."""
    typer.echo(plain(text), err=True)


def spent(budget: Budget, usage: Usage) -> str:
    """What of a budget was spent; over it by what the models' last prompts took."""
    pairs = (
        ("model calls", usage.model_calls, budget.model_calls),
        ("tokens", usage.tokens, budget.tokens),
    )
    said = [f"{number} of {limit} {what}" for what, number, limit in pairs if limit is not None]
    over = ": more than the budget" if budget.overshot(usage) else ""
    return f"spent {' and '.join(said)}{over}"


def show_table(columns: list[str], rows: list[list[str]]) -> None:
    """Columns that end in `#` hold numbers, and stand right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        numeric = name.endswith("#")
        table.add_column(name.rstrip("#"), justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    show(table)


def show(what: RenderableType) -> None:
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    Console(width=width, highlight=False).print(what)
