"""`hutch up`: runs the folder's agents and the scheduler as processes on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from services.cli import output
from services.cli.agents import known_names, unknown
from services.cli.machine import fleet
from services.cli.machine.broker import local_broker
from services.cli.machine.home import HOME
from services.cli.machine.models import Endpoint, Provider, endpoint
from services.cli.machine.supervisor import Show
from services.cli.output import plain
from shared.broker.connection import connect
from shared.definitions.loader import Folder, read_folder
from shared.definitions.model import Definition
from shared.errors import SettingsError
from shared.settings.environment import Settings, no_model
from shared.store.database.migrate import migrate

BROKER_WAIT_S = 10.0
"""The wait for the broker of RABBITMQ_URL; a broker that is started here answers before that."""

STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan")


def up(
    agents: Annotated[
        list[str] | None,
        typer.Argument(
            help="Only these agents.",
            show_default="all in the folder",
            autocompletion=known_names,
        ),
    ] = None,
    provider: Annotated[
        Provider,
        typer.Option(help="The model: that of the environment, or one that is started here."),
    ] = Provider.OPENAI,
) -> None:
    """Run the agents and the scheduler until Ctrl-C; starts a broker if none is set.

    An agent whose file or settings have a fault is named and not started; the others start, and the
    command fails only if none can. Use the exit code of 'hutch check' to find such faults.
    """
    settings = Settings.from_environment()
    chosen = _startable(read_folder(settings.agents), agents or ())
    if provider is Provider.OPENAI:
        chosen = _with_models(chosen, settings)
    given = settings.given_broker()
    with fleet.terminable(), local_broker(given, HOME, output.say, output.confirmed) as url:
        model = endpoint(provider)
        output.say(model.notice)
        for line in _own_models(chosen, provider):
            output.say(line)
        asyncio.run(_serve(settings, [one.name for one in chosen], model, url))


def _startable(folder: Folder, names: Sequence[str]) -> list[Definition]:
    """The chosen agents whose files have no fault; raises `SettingsError` if there is none."""
    for name in names:
        if name not in folder.names:
            raise SettingsError(unknown("agent", name, folder.names, folder))
    wanted = names or folder.files
    faults = [folder.faults[name] for name in wanted if name in folder.faults]
    found = [folder.found[name] for name in wanted if name not in folder.faults]
    if not found:
        raise SettingsError("\n".join(faults))
    for fault in faults:
        output.remark(f"not started: {fault}")
    return found


def _with_models(agents: list[Definition], settings: Settings) -> list[Definition]:
    """The agents that have a model; raises `SettingsError` if none has one.

    Each agent's process would refuse to start; this is one sentence, before anything starts.
    """
    ours = settings.base_url or settings.key()
    found = [it for it in agents if ours or it.model.base_url or it.model.api_key_env]
    without = [it for it in agents if it not in found]
    if not found:
        raise no_model(without[0].name)
    for agent in without:
        output.remark(f"not started: {no_model(agent.name)}")
    return found


async def _serve(settings: Settings, agents: list[str], model: Endpoint, url: str) -> None:
    async with connect(url, "hutch up", wait_s=BROKER_WAIT_S):
        pass  # one sentence now rather than one from each process
    await migrate(settings.store())
    roles = fleet.roles(agents)
    environment = {"HUTCH_LOG": _log_format(settings)}
    if settings.given_broker() is None:  # else they read the setting themselves, and its file again
        environment["RABBITMQ_URL"] = url
    output.say(f"starting {', '.join(role.name for role in roles)}; Ctrl-C ends them")
    show = screen([*(role.name for role in roles), model.role.name if model.role else ""])
    async with fleet.running(roles, model, environment, show, settings.drain_s) as running:
        await running.ended()
        output.say("ending")


def screen(names: list[str]) -> Show:
    """A function that prints lines after their process's name, which is coloured on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    styles = dict(zip(names, cycle(STYLES), strict=False))
    width = max(map(len, names))

    def show(name: str, line: str) -> None:
        console.print(Text.assemble((f"{name:<{width}} | ", styles.get(name, "")), plain(line)))

    return show


def _log_format(settings: Settings) -> str:
    """The children's log format. They write to a pipe, so this process decides for them whether a
    terminal shows the lines."""
    readable = settings.log_format == "auto" and sys.stdout.isatty()
    return "console" if readable else settings.log_format


def _own_models(agents: list[Definition], provider: Provider) -> Iterator[str]:
    if provider is not Provider.OPENAI:
        for agent in agents:
            if agent.model.base_url:
                yield f"model of {agent.name}: at {agent.model.base_url}, as its file says"
