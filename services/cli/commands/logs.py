"""`hutch logs`: the lines of the processes that 'hutch up' runs here, or has run."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from services.cli.machine.home import HOME
from services.cli.up import log_files
from services.cli.up.screen import Screen
from shared.errors import HutchError

POLL_S = 0.3


def logs(
    agent: Annotated[
        str | None, typer.Argument(help="An agent, or 'scheduler'.", show_default="all processes")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines.")] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, help="Only the last lines.", show_default="all")
    ] = None,
) -> None:
    """Print the log lines of the agents that 'hutch up' runs, or has run, in this folder."""
    reader = log_files.LogReader(log_files.folder(HOME), agent)
    lines = reader.more()
    if not lines and not follow:
        service = agent or ""
        raise HutchError(
            f"'hutch up' has written no log{f' of {agent}' if agent else ''} here; with compose, "
            f"use '{f'docker compose logs {service}'.strip()}'"
        )
    screen = Screen(name for name, _ in lines)
    first = 0 if tail is None else max(0, len(lines) - tail)
    for name, line in lines[first:]:
        screen.show(name, line)
    while follow:
        time.sleep(POLL_S)
        for name, line in reader.more():
            screen.show(name, line)
