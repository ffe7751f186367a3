"""`hutch forget`: delete a session's runs and their texts, and what agents remember of its user."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer

from services.cli import output
from services.cli.agents import known_names
from services.cli.places import store_place
from services.cli.store import opened_store
from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.store.knowledge.documents import forget as forget_facts
from shared.store.retention import forget_session


def forget(
    session: Annotated[
        str | None,
        typer.Argument(help="The id that was given as --session; or a user, for the memory."),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Only this agent's runs, with those that they caused, and what it remembers.",
            autocompletion=known_names,
        ),
    ] = None,
    memory: Annotated[
        bool, typer.Option("--memory", help="Only what agents remember, and no runs.")
    ] = False,
) -> None:
    """Delete a session's ended runs with their texts; refused while one of them is open.

    Also deletes what agents remember of a user of that name. What an agent remembers in the
    sessions 'ann/1' and 'ann/2' is of the user 'ann': 'hutch forget ann' deletes it. Without a
    session, '--memory --agent' deletes what an agent remembers outside sessions.
    """
    settings = Settings.from_environment()
    if session is None and not (memory and agent):
        raise SettingsError(
            "name a session; or '--memory --agent NAME', for what an agent remembers outside "
            "sessions"
        )
    if session and not memory:
        forgotten = asyncio.run(_forget(settings, session, agent))
        output.say(f"forgot {forgotten} run{'' if forgotten == 1 else 's'} of session '{session}'")
        if not forgotten:
            output.remark(f"it has none in {store_place(settings, f'forget {session}')}")
    facts = asyncio.run(_forget_facts(settings, session or "", agent))
    if facts or memory:
        output.say(f"forgot {facts} fact{'' if facts == 1 else 's'} that agents remembered")


async def _forget_facts(settings: Settings, user: str, agent: str | None) -> int:
    async with opened_store(settings) as store:
        return await store.write("", partial(forget_facts, user=user, agent=agent))


async def _forget(settings: Settings, session: str, agent: str | None) -> int:
    """Delete in batches, so that the agents' own commits wait for one batch at most."""
    batch = partial(forget_session, session=session, agent=agent)
    forgotten = 0
    async with opened_store(settings) as store:
        while deleted := await store.write("", batch):
            forgotten += deleted
    return forgotten
