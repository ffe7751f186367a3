"""`hutch pause`, `hutch unpause`: the brake of an agent, or of all."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, output
from services.cli.store import opened_store
from shared.settings.environment import Settings
from shared.store.processes import pauses

Whom = Annotated[str, typer.Argument(help="An agent, or 'all'.")]


def pause(agent: Whom) -> None:
    """Let an agent begin no run and call no model, until it is unpaused; restarts change nothing.

    What waits in its mailbox stays there; what runs waits before its next model call.
    """
    asyncio.run(_pause(_checked(agent), agent))
    output.say(f"{_whom(agent)} paused: 'hutch unpause {agent}' lets go")


def unpause(agent: Whom) -> None:
    """Let a paused agent go on; 'all' lets everybody go, whoever was paused by name too."""
    left = asyncio.run(_unpause(_checked(agent), agent))
    if left:
        output.say(f"{agent} stays paused, as all are: 'hutch unpause all' lets everybody go")
    else:
        output.say(f"{_whom(agent)} not paused any more")


def _checked(agent: str) -> Settings:
    settings = Settings.from_environment()
    if agent != "all":
        agents.check_agent(settings, agent)
    return settings


def _whom(agent: str) -> str:
    return "all agents are" if agent == "all" else f"{agent} is"


async def _pause(settings: Settings, agent: str) -> None:
    async with opened_store(settings) as store:
        await store.write("", lambda connection: pauses.pause(connection, agent))


async def _unpause(settings: Settings, agent: str) -> bool:
    """Whether the agent stays paused, because all are."""
    async with opened_store(settings) as store:
        await store.write("", lambda connection: pauses.unpause(connection, agent))
        return pauses.ALL in await store.read(pauses.paused)
