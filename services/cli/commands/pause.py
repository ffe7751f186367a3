"""`hutch pause`, `hutch unpause`: keep an agent, or all, from beginning runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, output
from services.cli.store import opened_store
from shared.contract.topology import ALL
from shared.settings.environment import Settings
from shared.store.processes import pauses

Agent = Annotated[str, typer.Argument(help="An agent, or 'all'.")]


def pause(agent: Agent) -> None:
    """Let an agent begin no run and call no model, until it is unpaused; restarts change nothing.

    What waits in its mailbox stays there; what runs waits before its next model call.
    """
    asyncio.run(_pause(_checked(agent), agent))
    output.say(f"{_subject(agent)} paused: 'hutch unpause {agent}' lets go")


def unpause(agent: Agent) -> None:
    """Let a paused agent go on; 'all' lets everybody go, whoever was paused by name too."""
    left = asyncio.run(_unpause(_checked(agent), agent))
    if left:
        output.say(f"{agent} stays paused, as all are: 'hutch unpause all' lets everybody go")
    else:
        output.say(f"{_subject(agent)} not paused any more")


def _checked(agent: str) -> Settings:
    settings = Settings.from_environment()
    if agent != ALL:
        agents.check_agent(settings, agent)
    return settings


def _subject(agent: str) -> str:
    return "all agents are" if agent == ALL else f"{agent} is"


async def _pause(settings: Settings, agent: str) -> None:
    async with opened_store(settings) as store:
        await store.write("", lambda connection: pauses.pause(connection, agent))


async def _unpause(settings: Settings, agent: str) -> bool:
    """Whether the agent stays paused, because all are."""
    async with opened_store(settings) as store:
        await store.write("", lambda connection: pauses.unpause(connection, agent))
        return ALL in await store.read(pauses.paused)
