"""`hutch demo`: the shipped examples, on a temporary system of their own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from textwrap import wrap
from typing import Annotated, NamedTuple

import typer
import yaml
from rich.console import Console
from rich.text import Text

from services.cli import output
from services.cli.demo import office, support
from services.cli.demo.stage import Line, Stage, summary
from services.cli.forking.client import Forks
from services.cli.machine import fleet, models
from services.cli.machine.broker import local_broker
from services.cli.machine.home import DEMO_LOG, HOME
from services.cli.machine.models import Provider
from services.cli.output import plain
from services.cli.up.gateway import LocalGateway
from services.cli.up.readiness import Readiness
from shared.broker.connection import Broker, connect
from shared.client.ask import mailbox_state
from shared.definitions.loader import load
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store import open_store
from shared.store.database.migrate import migrate

READY_S = 60.0
"""The limit for the start of eleven processes; on a free machine it takes two seconds."""
BROKER_WAIT_S = 10.0
DRAIN_S = 5.0
"""After the last scene only a schedule's last tick can be running."""
TEXT_CHARS = 480
"""Characters shown of each text; outside the demo `hutch show` shows whole texts."""
INDENT = "    "
SCHEDULE = {"name": "plan", "every": "5s", "prompt": "Plan the day."}
"""Replaces nine o'clock on working days, which a demo can't wait for."""


class Example(StrEnum):
    """The examples that are played by themselves."""

    SUPPORT = "support"


class _Play(NamedTuple):
    folders: tuple[str, str]
    """The agents' folder in a clone or an image, and in an installed package."""
    scenes: Callable[[Stage], Awaitable[None]]


PLAYS = {
    None: _Play(("agents", "hutch_examples"), office.play),
    Example.SUPPORT: _Play(("examples/support/agents", "hutch_support"), support.play),
}


def demo(
    only: Annotated[
        Example | None, typer.Option(help="Play this example instead of the first ones.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep all running until Ctrl-C, with the page.")
    ] = False,
) -> None:
    """Run the shipped examples with the scripted model, and end everything afterwards."""
    settings = Settings.from_environment()
    given = settings.given_broker()
    HOME.mkdir(parents=True, exist_ok=True)
    with fleet.terminable(), tempfile.TemporaryDirectory(prefix="demo-", dir=HOME) as name:
        home = Path(name).resolve()
        play = PLAYS[only]
        _agents_into(home / "agents", play)
        agents = load(home / "agents")
        with (
            fleet.forking() as forks,
            local_broker(given, home, output.say, output.confirmed, keep=False) as url,
        ):
            summary = asyncio.run(_run(home, url, list(agents), play, forks, keep))
    output.say(summary)


async def _run(
    home: Path, url: str, agents: list[str], play: _Play, forks: Forks | None, keep: bool
) -> str:
    model = models.endpoint(Provider.SCRIPTED)
    output.say(model.notice)
    store_url = f"sqlite:///{home / 'hutch.db'}"
    await migrate(store_url)
    environment = {
        "RABBITMQ_URL": url,
        "RABBITMQ_URL_FILE": "",
        "HUTCH_STORE": store_url,
        "HUTCH_STORE_FILE": "",
        "HUTCH_AGENTS": str(home / "agents"),
        "HUTCH_DRAIN_S": str(DRAIN_S),
        # The servers of an example run in this Python.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    output.say(
        f"starting the scheduler and {len(agents)} agents: {', '.join(agents)} (log: {DEMO_LOG})"
    )
    gateway = LocalGateway.prepare(home) if keep else None
    began = time.monotonic()
    with DEMO_LOG.open("w", encoding="utf-8") as log:
        ready = asyncio.Event()
        address = gateway.address if gateway else None
        readiness = Readiness(agents, lambda _: ready.set(), address)

        def show(name: str, line: str) -> None:
            log.write(f"{name} | {line}\n")
            log.flush()
            readiness.see(name, line)

        async with connect(url, "hutch demo", wait_s=BROKER_WAIT_S) as broker:
            await _alone(broker, agents)
            async with (
                open_store(store_url) as store,
                fleet.running(
                    *(agents, model, environment, show, DRAIN_S, forks),
                    gateway=gateway.environment if gateway else None,
                ) as running,
            ):
                try:
                    async with asyncio.timeout(READY_S):
                        await ready.wait()
                except TimeoutError as error:
                    raise HutchError(
                        f"the demo failed: an agent did not start within {READY_S:.0f} s; see "
                        f"{DEMO_LOG}"
                    ) from error
                output.say(f"ready after {time.monotonic() - began:.1f} s")
                began = time.monotonic()
                await play.scenes(Stage(broker, store, _title, _show))
                played_s = time.monotonic() - began
                counted = f"{await summary(store)} (scripted), {played_s:.0f} s"
                if gateway:
                    output.say(f"{counted}\n\npage and API: {address}; Ctrl-C ends all")
                    await running.asked_to_end()
                output.say(f"\nending {len(agents)} agents and the scheduler")
                return counted


async def _alone(broker: Broker, agents: list[str]) -> None:
    """Raises `HutchError` if running agents of these names would take the demo's tasks."""
    for agent in agents:
        if (await mailbox_state(broker, agent)).consumed:
            raise HutchError(
                f"an agent '{agent}' runs on this broker already: end it, or name an empty vhost "
                "in RABBITMQ_URL for the demo"
            )


def _agents_into(folder: Path, play: _Play) -> None:
    """Copy the examples into a folder. Alice gets a schedule that fires every few seconds."""
    root = Path(__file__).parents[3]
    examples = next((it for it in (root / name for name in play.folders) if it.is_dir()), None)
    if examples is None:
        raise HutchError("this installation has no such example: play it in a clone of Hutch")
    shutil.copytree(examples, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "alice.yaml"
    if file.exists():
        alice = yaml.safe_load(file.read_text("utf-8"))
        file.write_text(yaml.safe_dump(alice | {"schedule": [SCHEDULE]}), "utf-8")


def _title(text: str) -> None:
    Console(highlight=False).print(Text(f"\n{text}", "bold"))


def _show(line: Line) -> None:
    """Print a line of the demo; its text is printed without markup."""
    console = Console(highlight=False)
    at = f"{line.at.astimezone():%H:%M:%S.%f}"[:-5]
    console.print(Text.assemble((at, "dim"), "  ", (line.subject, "cyan")))
    text = plain(line.text)
    cut = text if len(text) <= TEXT_CHARS else f"{text[:TEXT_CHARS].rsplit(None, 1)[0]} …"
    for paragraph in cut.splitlines():
        for part in wrap(paragraph, console.width - len(INDENT)):
            console.print(Text(INDENT + part))
