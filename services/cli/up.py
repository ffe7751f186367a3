"""`hutch up`: everything in the folder of agents, as processes on this machine."""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.providers import Provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.cli.children import Show
    from services.cli.providers import Endpoint
    from shared.definitions import Definition
    from shared.settings import Settings

HOME = Path(".hutch")
"""What a house on this machine keeps: its store and its broker's data."""

BROKER_WAIT_S = 10.0
"""For a broker of others; one of ours answers before its URL is known."""

STYLES = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan")


def up(
    agents: Annotated[
        list[str] | None, typer.Argument(help="Only these.", show_default="all in the folder")
    ] = None,
    provider: Annotated[
        Provider, typer.Option(help="Which model speaks: the environment's, or one served here.")
    ] = Provider.OPENAI,
) -> None:
    """Run the agents and the scheduler, with a broker where none is set, until Ctrl-C."""
    import asyncio

    from services.cli import fleet, known, output
    from services.cli.local_broker import local_broker
    from services.cli.providers import endpoint
    from shared.definitions import load
    from shared.settings import Settings

    settings = Settings.from_environment()
    found = load(settings.agents)
    for name in agents or ():
        known.check_agent(settings, name)
    chosen = [found[name] for name in agents or found]
    if provider is Provider.OPENAI:
        _check_models(chosen, settings)
    given = settings.given_broker()
    with fleet.terminable(), local_broker(given, HOME, output.say, agreed) as url:
        model = endpoint(provider)
        output.say(model.said)
        for line in _own_models(chosen, provider):
            output.say(line)
        asyncio.run(_serve(settings, [one.name for one in chosen], model, url))


def _check_models(agents: list[Definition], settings: Settings) -> None:
    """Each agent would say so itself; here it is said once, before anything is started."""
    from shared.settings import no_model

    for agent in agents:
        own = agent.model.base_url or agent.model.api_key_env
        if not (own or settings.key() or settings.base_url):
            raise no_model(agent.name)


def agreed(question: str) -> bool:
    """Asked on a terminal; elsewhere nobody can be asked, and what is done is told."""
    return typer.confirm(question, default=True) if sys.stdin.isatty() else True


async def _serve(settings: Settings, agents: list[str], model: Endpoint, url: str) -> None:
    from services.cli import fleet, output
    from shared.broker.connection import connect
    from shared.store.migrate import migrate

    async with connect(url, "hutch up", wait_s=BROKER_WAIT_S):
        pass  # one sentence now rather than one from each process
    await migrate(settings.store())
    roles = fleet.roles(agents)
    environment = {"HUTCH_LOG": _log_format(settings)}
    if settings.given_broker() is None:  # else they read it as we did, and its file again later
        environment["RABBITMQ_URL"] = url
    output.say(f"starting {', '.join(role.name for role in roles)}; Ctrl-C ends them")
    show = screen([*(role.name for role in roles), model.role.name if model.role else ""])
    async with fleet.running(roles, model, environment, show, settings.drain_s) as running:
        await running.ended()
        output.say("ending")


def screen(names: list[str]) -> Show:
    """Lines on stdout, each after the name of who says it, coloured on a terminal."""
    from rich.console import Console
    from rich.text import Text

    from services.cli.output import plain

    console = Console(highlight=False, soft_wrap=True)
    styles = dict(zip(names, cycle(STYLES), strict=False))
    width = max(map(len, names))

    def show(name: str, line: str) -> None:
        console.print(Text.assemble((f"{name:<{width}} | ", styles.get(name, "")), plain(line)))

    return show


def _log_format(settings: Settings) -> str:
    """The children write to a pipe; it is this process that knows who reads."""
    readable = settings.log_format == "auto" and sys.stdout.isatty()
    return "console" if readable else settings.log_format


def _own_models(agents: list[Definition], provider: Provider) -> Iterator[str]:
    if provider is not Provider.OPENAI:
        for agent in agents:
            if agent.model.base_url:
                yield f"model: not so for {agent.name}: its file names {agent.model.base_url}"
