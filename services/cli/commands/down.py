"""`hutch down`: end the 'hutch up' of this folder, and delete what it keeps here."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from typing import Annotated

import typer

from services.cli import output
from services.cli.machine import rabbitmq_container
from services.cli.machine.home import HOME, is_locked, locked
from services.cli.up import control
from shared.errors import HutchError, SettingsError

BROKER_END_S = 60.0
POLL_S = 0.2


def down(
    forget: Annotated[
        bool,
        typer.Option(
            "--forget", help="Also delete .hutch and its broker: all runs, messages and logs."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """End every 'hutch up' of this folder: agents finish what they run, then the broker ends."""
    if forget and not yes:
        _ask()
    ended = asyncio.run(control.end_others(HOME))
    until = time.monotonic() + BROKER_END_S
    while is_locked(HOME):
        if time.monotonic() > until:
            raise HutchError(f"another 'hutch' still runs the broker in '{HOME}': end it first")
        time.sleep(POLL_S)
    output.say(f"ended {ended} 'hutch up'" if ended else "no 'hutch up' runs in this folder")
    if forget:
        _forget()


def _ask() -> None:
    question = f"Delete {HOME.resolve()}, with all runs, messages and logs of this folder?"
    if not sys.stdin.isatty():
        raise SettingsError("--forget deletes all runs, messages and logs here: add --yes")
    typer.confirm(question, abort=True)


def _forget() -> None:
    if not HOME.is_dir():
        output.say(f"there is no '{HOME}' here: nothing to delete")
        return
    homes = [HOME, *(it.parent for it in HOME.glob("demo-*/lock"))]
    for home in homes:
        with locked(home):
            rabbitmq_container.remove(home)
    shutil.rmtree(HOME)
    output.say(f"deleted '{HOME}' and its broker; a store or broker elsewhere was not touched")
