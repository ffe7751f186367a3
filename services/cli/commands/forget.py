"""`hutch forget`: a conversation, with all that was said in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shared.settings.environment import Settings


def forget(
    session: Annotated[str, typer.Argument(help="The session, as it was named when asking.")],
    agent: Annotated[
        str | None, typer.Option(help="Only what this agent did in it, its workers' part included.")
    ] = None,
) -> None:
    """Delete a session's ended runs with their texts; open ones are refused."""
    import asyncio

    from services.cli import output
    from shared.settings.environment import Settings

    forgotten = asyncio.run(_forget(Settings.from_environment(), session, agent))
    output.say(f"forgot {forgotten} run{'' if forgotten == 1 else 's'} of session '{session}'")


async def _forget(settings: Settings, session: str, agent: str | None) -> int:
    """Batch by batch, so that the agents' own commits don't wait long."""
    from functools import partial

    from services.cli.store import opened_store
    from shared.store.retention import forget_session

    batch = partial(forget_session, session=session, agent=agent)
    forgotten = 0
    async with opened_store(settings) as store:
        while deleted := await store.write("", batch):
            forgotten += deleted
    return forgotten
