"""`hutch up`: runs the folder's agents, the scheduler and a gateway on this machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from services.cli import output
from services.cli.agents import known_names, unknown
from services.cli.forking.client import Forks
from services.cli.machine import fleet
from services.cli.machine.broker import local_broker
from services.cli.machine.fleet import Fleet
from services.cli.machine.home import HOME, is_locked, running_broker
from services.cli.machine.models import Endpoint, Provider, endpoint
from services.cli.up import control, health, log_files
from services.cli.up.gateway import LocalGateway
from services.cli.up.provider import recorded, served_here
from services.cli.up.readiness import Readiness
from services.cli.up.reload import ModelFault, Reload
from services.cli.up.screen import Screen, show_json
from shared.broker.connection import connect
from shared.contract.topology import GATEWAY, SCHEDULER
from shared.definitions.loader import Folder, read_folder
from shared.definitions.model import Definition
from shared.errors import SettingsError
from shared.settings.environment import Settings, no_model
from shared.store.database.migrate import migrate
from shared.telemetry import logs

BROKER_WAIT_S = 10.0
"""The wait for the broker of RABBITMQ_URL; a broker that is started here answers before that."""
OWNER_POLL_S = 1.0
UP = "up"
"""The name of the lines about no process, among lines of JSON."""


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
        Provider | None,
        typer.Option(
            help="The model: that of the environment, or one that is started here.",
            show_default="openai, or that of another 'hutch up' in this folder",
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option(help="Restart an agent when its file or its tools have changed.")
    ] = True,
    fork: Annotated[
        bool, typer.Option(help="Fork the agents from one process, which saves memory and time.")
    ] = True,
    gateway: Annotated[
        bool, typer.Option(help="Serve the page and the API, on HUTCH_GATEWAY_PORT if it is free.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as a JSON object, as a container does.")
    ] = False,
) -> None:
    """Run agents, scheduler and gateway until Ctrl-C; starts a broker if none is set.

    An agent whose file or settings have a fault is named and not started; the others start, and the
    command fails only if none can. Use the exit code of 'hutch check' to find such faults.
    A second 'hutch up' in this folder uses the broker, the store and the gateway of the first, and
    ends with it.
    With HUTCH_HEALTH_PORT set, /live and /ready are served there for all processes at once.
    """
    settings = Settings.from_environment()
    if as_json:
        logs.configure("json", UP)
    say: Callable[[str], None] = partial(show_json, UP) if as_json else output.say
    folder = read_folder(settings.agents)
    provider = provider or served_here(HOME) or Provider.OPENAI
    model_fault = partial(_model_fault, settings if provider is Provider.OPENAI else None)
    found = _startable(folder, agents or (), model_fault)
    given = settings.given_broker()
    with fleet.forking(fork) as forks, fleet.terminable(), recorded(HOME, provider):
        joined = None if given else running_broker(HOME, say)
        broker = local_broker(given, HOME, say, output.confirmed)
        with nullcontext(joined) if joined else broker as url:
            model = endpoint(provider)
            say(model.notice)
            for line in _own_models(found, provider):
                say(line)
            served = LocalGateway.prepare(HOME) if gateway and not joined else None
            system = _System(
                *(settings, folder, agents or (), model, model_fault, url, bool(joined), served),
                *(as_json, say),
            )
            asyncio.run(system.serve([it.name for it in found], reload, forks))


def _startable(folder: Folder, names: Sequence[str], model_fault: ModelFault) -> list[Definition]:
    """The chosen agents whose files have no fault and that have a model.

    Raises `SettingsError` if there is none. An agent's process would refuse to start without a
    model; this is one sentence, before anything starts.
    """
    for name in names:
        if name not in folder.names:
            raise SettingsError(unknown("agent", name, folder.names, folder))
    wanted = names or folder.files
    faults = {name: folder.faults[name] for name in wanted if name in folder.faults}
    readable = [folder.found[name] for name in wanted if name not in folder.faults]
    without = {it.name: fault for it in readable if (fault := model_fault(it))}
    found = [it for it in readable if it.name not in without]
    if not found:
        raise SettingsError("\n".join([*faults.values(), *list(without.values())[:1]]))
    for fault in [*faults.values(), *without.values()]:
        output.remark(f"not started: {fault}")
    return found


def _model_fault(settings: Settings | None, agent: Definition) -> str:
    """Why the agent has no model; `settings` are None if a model is served here."""
    if settings is None or settings.base_url or settings.key():
        return ""
    return "" if agent.model.base_url or agent.model.api_key_env else str(no_model(agent.name))


@dataclass(frozen=True)
class _System:
    settings: Settings
    folder: Folder
    chosen: Sequence[str]
    model: Endpoint
    model_fault: ModelFault
    url: str
    joined: bool
    """Whether another 'hutch up' runs the broker."""
    gateway: LocalGateway | None
    as_json: bool
    say: Callable[[str], None]

    async def serve(self, agents: list[str], reload: bool, forks: Forks | None) -> None:
        """Run the agents until the end is asked for."""
        settings = self.settings
        async with connect(self.url, "hutch up", wait_s=BROKER_WAIT_S):
            pass  # one sentence now rather than one from each process
        await migrate(settings.store())
        environment = {"HUTCH_LOG": "json" if self.as_json else _log_format(settings)}
        owner = settings.given_broker() is None and not self.joined
        if settings.given_broker() is None:  # else they read the setting themselves
            environment["RABBITMQ_URL"] = self.url
        gateway = self.gateway
        names = [SCHEDULER, *agents, *([GATEWAY] if gateway else [])]
        self.say(f"starting {', '.join(names)}; Ctrl-C ends them")
        show_line = show_json if self.as_json else Screen(names).show
        readiness = Readiness(agents, self.say, gateway.address if gateway else None)

        def show(name: str, line: str) -> None:
            show_line(name, line)
            log_files.write(log_files.folder(HOME), name, output.plain(line))
            readiness.see(name, line)

        async with (
            asyncio.TaskGroup() as jobs,
            fleet.running(
                *(agents, self.model, environment, show, settings.drain_s, forks),
                gateway=gateway.environment if gateway else None,
                health_host=settings.health_host,
                health_port=settings.health_port,
            ) as running,
        ):
            files = Reload(self.folder, self.chosen, running, show, self.model_fault)
            watches = [files.serve()] if reload else []
            watches += [_end_with_owner(running, self.say)] if self.joined else []
            watching = [jobs.create_task(watch) for watch in watches]
            async with (
                health.served(running, settings.health_host, settings.health_port),
                control.served(HOME, partial(_execute, running, files)),
            ):
                await running.asked_to_end()
            self.say("ending")
            for job in watching:
                job.cancel()
            if owner:  # at the same time as our own agents: all lose the broker
                jobs.create_task(control.end_others(HOME))


async def _execute(running: Fleet, files: Reload, command: list[str]) -> str:
    """Execute a command of another process; see `control`."""
    match command:
        case [control.END]:
            running.ask_to_end()
            await asyncio.Event().wait()  # until this process ends
        case ["restart", agent] if agent in running.replicas:
            await files.restart(agent)
            return f"{agent} is restarted: {_processes(running.replicas[agent])}"
        case ["scale", agent, number] if agent in running.replicas:
            await running.scale(agent, int(number))
            return f"{agent} has {_processes(int(number))}"
    return ""


async def _end_with_owner(running: Fleet, say: Callable[[str], None]) -> None:
    while is_locked(HOME):  # noqa: ASYNC110 - another process's lock
        await asyncio.sleep(OWNER_POLL_S)
    say("the 'hutch up' that ran the broker has ended")
    running.ask_to_end()


def _processes(number: int) -> str:
    return f"{number} process{'' if number == 1 else 'es'}"


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
