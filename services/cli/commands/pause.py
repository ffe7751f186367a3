"""`hutch pause`, `hutch unpause`: stop an agent, or all agents, from starting runs."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.store import opened_store
from shared.contract.topology import ALL
from shared.settings.environment import Settings
from shared.store.processes import pauses

Agent = Annotated[str, typer.Argument(help="An agent, or 'all'.", autocompletion=known_names)]


def pause(agent: Agent) -> None:
    """Stop an agent from starting runs and calling models, until it is unpaused.

    A restart does not end the pause. Messages stay in the mailbox, and an open run waits before its
    next model call.
    """
    asyncio.run(_pause(_checked(agent), agent))
    output.say(f"{_subject(agent)} paused: 'hutch unpause {agent}' ends the pause")


def unpause(agent: Agent) -> None:
    """End the pause of an agent; 'all' also unpauses agents that were paused by name."""
    left = asyncio.run(_unpause(_checked(agent), agent))
    if left:
        output.say(f"{agent} stays paused, since all agents are: 'hutch unpause all' unpauses them")
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
    """Unpause; returns whether the agent stays paused because all agents are."""
    async with opened_store(settings) as store:
        await store.write("", lambda connection: pauses.unpause(connection, agent))
        return ALL in await store.read(pauses.paused)
