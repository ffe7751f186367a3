"""`hutch restart`, `hutch scale`: the processes of an agent that 'hutch up' runs here."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.machine.home import HOME
from services.cli.up import control
from shared.contract.topology import GATEWAY, SCHEDULER
from shared.errors import HutchError, SettingsError
from shared.settings.environment import Settings

MOST = 64
"""More processes of one agent than one machine has a use for."""


def restart(
    agent: Annotated[
        str, typer.Argument(help="An agent, 'scheduler' or 'gateway'.", autocompletion=known_names)
    ],
) -> None:
    """Finish what an agent's processes under 'hutch up' run, and start them again."""
    if agent not in {SCHEDULER, GATEWAY}:
        agents.check_name(agent)
    asyncio.run(_restart(agent))


def scale(
    agent: Annotated[str, typer.Argument(help="An agent.", autocompletion=known_names)],
    replicas: Annotated[int, typer.Argument(min=0, max=MOST, help="Its processes.")],
) -> None:
    """Run this many processes of an agent under 'hutch up', until that ends."""
    agents.check_name(agent)
    asyncio.run(_scale(agent, replicas))


async def _restart(agent: str) -> None:
    found = False
    async for answer in control.answers(HOME, "restart", agent):
        output.say(answer)
        found = True
    if not found:
        raise _not_here(
            agent, f"docker compose restart {agent}", f"rollout restart deployment {agent}"
        )


async def _scale(agent: str, replicas: int) -> None:
    async for answer in control.answers(HOME, "scale", agent, str(replicas)):
        output.say(answer)
        return  # two 'hutch up' that run one agent are rare, and one of them is enough
    raise _not_here(
        agent,
        f"docker compose up --detach --no-recreate --scale {agent}={replicas}",
        f"scale deployment {agent} --replicas={replicas}",
    )


def _not_here(agent: str, compose: str, kubectl: str) -> HutchError:
    start = f"hutch up {agent}"
    if agent in {SCHEDULER, GATEWAY}:
        start = "hutch up"
    elif unknown := agents.unknown_agent(Settings.from_environment(), agent):
        return SettingsError(unknown)
    return HutchError(
        f"no 'hutch up' of this folder runs '{agent}': '{start}' starts it; with compose, "
        f"use '{compose}', with Kubernetes 'kubectl -n hutch {kubectl}'"
    )
