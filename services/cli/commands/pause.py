"""`hutch pause`, `hutch unpause`: stop an agent, or all agents, from starting runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import typer

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.store import opened_store
from shared.contract.topology import ALL
from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.store.processes import pauses
from shared.store.queries.condition import known_agents

Agent = Annotated[str, typer.Argument(help="An agent, or 'all'.", autocompletion=known_names)]
Pauses = Mapping[str, datetime]
"""The paused agents, `ALL` among them, and when each pause began."""


def pause(agent: Agent) -> None:
    """Stop an agent from starting runs and calling models, until it is unpaused.

    A restart does not end the pause. Messages stay in the mailbox, and an open run waits before its
    next model call.
    """
    output.say(after_pause(agent, asyncio.run(_change(agent, on=True))))


def unpause(agent: Agent) -> None:
    """End the pause of an agent; 'all' also unpauses agents that were paused by name."""
    output.say(after_unpause(agent, asyncio.run(_change(agent, on=False))))


async def _change(agent: str, *, on: bool) -> Pauses:
    """Pause or unpause; returns what was paused before.

    Raises `SettingsError` for the pause of an agent that neither the folder nor the store knows.
    """
    settings = Settings.from_environment()
    unknown = None
    if agent != ALL and on:
        agents.check_name(agent)
        unknown = agents.unknown_agent(settings, agent)
    elif agent != ALL:
        agents.check_agent(settings, agent)
    change = pauses.pause if on else pauses.unpause
    async with opened_store(settings) as store:
        if unknown and agent not in await store.read(known_agents):
            raise SettingsError(unknown)
        before = await store.read(pauses.paused)
        await store.write("", lambda connection: change(connection, agent))
        return before


def after_pause(agent: str, before: Pauses) -> str:
    """A sentence on what is paused now, since when, and how that ends."""
    subject = "all agents are" if agent == ALL else f"{agent} is"
    since = f"{subject} paused"
    if agent in before:
        since = f"{subject} already paused, since {output.local_time(before[agent])}"
    if agent != ALL and ALL in before:
        all_since = output.local_time(before[ALL])
        return (
            f"{since}; all agents are too, since {all_since}: 'hutch unpause all' ends both pauses"
        )
    return f"{since}: 'hutch unpause {agent}' ends the pause"


def after_unpause(agent: str, before: Pauses) -> str:
    """A sentence on whether the agent was paused and whether it still is."""
    if agent == ALL:
        return "no agent is paused any more" if before else "no agent was paused"
    if ALL in before:
        by_name = "stays" if agent in before else "was not paused by name and stays"
        return f"{agent} {by_name} paused, since all agents are: 'hutch unpause all' unpauses them"
    return f"{agent} is not paused any more" if agent in before else f"{agent} was not paused"
