"""`hutch logs`: the lines of the processes that 'hutch up' runs here, or has run."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from services.cli.agents import known_names
from services.cli.machine.home import HOME
from services.cli.up import log_files
from services.cli.up.screen import Screen
from shared.errors import HutchError

POLL_S = 0.3


def logs(
    agent: Annotated[
        str | None,
        typer.Argument(
            help="An agent, 'scheduler' or 'gateway'.",
            show_default="all processes",
            autocompletion=known_names,
        ),
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
        of, service = (f" of {agent}", f" {agent}") if agent else ("", "")
        raise HutchError(
            f"'hutch up' has written no log{of} in this folder; with compose, use 'docker compose "
            f"logs{service}', with Kubernetes 'kubectl -n hutch logs deployment/{agent or 'AGENT'}'"
        )
    screen = Screen(name for name, _ in lines)
    first = 0 if tail is None else max(0, len(lines) - tail)
    for name, line in lines[first:]:
        screen.show(name, line)
    while follow:
        time.sleep(POLL_S)
        for name, line in reader.more():
            screen.show(name, line)
