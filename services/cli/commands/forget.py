"""`hutch forget`: delete a session's runs and their texts."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer

from services.cli import output
from services.cli.agents import known_names
from services.cli.places import store_place
from services.cli.store import opened_store
from shared.settings.environment import Settings
from shared.store.retention import forget_session


def forget(
    session: Annotated[str, typer.Argument(help="The id that was given as --session.")],
    agent: Annotated[
        str | None,
        typer.Option(
            help="Only this agent's runs, and the runs that they caused.",
            autocompletion=known_names,
        ),
    ] = None,
) -> None:
    """Delete a session's ended runs with their texts; refused while one of them is open."""
    settings = Settings.from_environment()
    forgotten = asyncio.run(_forget(settings, session, agent))
    output.say(f"forgot {forgotten} run{'' if forgotten == 1 else 's'} of session '{session}'")
    if not forgotten:
        output.remark(f"it has none in {store_place(settings, f'forget {session}')}")


async def _forget(settings: Settings, session: str, agent: str | None) -> int:
    """Delete in batches, so that the agents' own commits wait for one batch at most."""
    batch = partial(forget_session, session=session, agent=agent)
    forgotten = 0
    async with opened_store(settings) as store:
        while deleted := await store.write("", batch):
            forgotten += deleted
    return forgotten
