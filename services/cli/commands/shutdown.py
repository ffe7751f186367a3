"""`hutch shutdown`: end an agent's processes."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, options, output
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.store import opened_store
from shared.client.ask import publish
from shared.client.system.processes import LivingProcesses
from shared.contract.messages import Shutdown, ShutdownMode
from shared.contract.topology import ALL, CONTROL, GATEWAY, SCHEDULER, shutdown_key
from shared.definitions.model import RESERVED
from shared.errors import BrokerError, HutchError, StoreError, Undeliverable
from shared.settings.environment import Settings
from shared.store.processes import shutdowns


def shutdown(
    agent: Annotated[
        str,
        typer.Argument(
            help="An agent, 'scheduler', 'gateway', or 'all'.", autocompletion=known_names
        ),
    ],
    stop: Annotated[
        bool, typer.Option("--stop", help="Hand over open runs instead of finishing them.")
    ] = False,
) -> None:
    """End an agent's processes, ahead of any backlog; its mailbox keeps its messages."""
    settings = Settings.from_environment()
    if agent not in RESERVED:
        agents.check_agent(settings, agent)
    output.say(asyncio.run(_shutdown(settings, agent, "stop" if stop else "drain")))


async def _shutdown(settings: Settings, agent: str, mode: ShutdownMode) -> str:
    """Write the shutdown to the store, then publish it; returns the sentence to print."""
    asked, by_row = await _write(settings, agent, mode)
    message = options.message(Shutdown, mode=mode)
    try:
        async with opened_broker(settings) as broker:
            await publish(broker, CONTROL, shutdown_key(agent), message)
    except Undeliverable as error:
        if not by_row:
            whose = "" if agent == ALL else f" of '{agent}'"
            raise HutchError(f"no process{whose} runs on this broker: nothing to end") from error
    except BrokerError as error:
        if not by_row:
            raise
        output.remark(f"only the store has the command, which takes a little longer: {error}")
    return f"asked {asked} to {'stop' if mode == 'stop' else 'finish and end'}"


async def _write(settings: Settings, agent: str, mode: ShutdownMode) -> tuple[str, bool]:
    """Write the shutdown's row; returns its addressees, and whether living processes will read it.

    Scheduler and gateway read no rows. Without the store, only the message reaches the agents.
    """
    if agent in {SCHEDULER, GATEWAY}:
        return f"the {agent}", False
    try:
        async with opened_store(settings) as store:
            counts = await LivingProcesses(store).count()
            del counts[SCHEDULER], counts[GATEWAY]
            row_of = None if agent == ALL else agent
            await store.write("", lambda connection: shutdowns.request(connection, row_of, mode))
    except StoreError as error:
        return f"'{agent}' (how many processes is unknown: {error})", False
    number = counts.total() if agent == ALL else counts[agent]
    processes = f"{number} process{'' if number == 1 else 'es'}"
    if agent == ALL:
        return f"{processes} of {len(counts)} agents, the scheduler and the gateway", number > 0
    return f"{processes} of '{agent}'", number > 0
