"""`hutch wait`: wait for the response to a task that was sent before."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

import typer

from services.cli import options, output
from services.cli.answer import print_answer
from services.cli.store import only_run, opened_store, polled
from services.cli.whereabouts import whereabouts
from shared.contract.messages import Budget, Response
from shared.contract.rows import message_of, response_of
from shared.errors import HutchError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries import reports
from shared.store.queries.reports import Row
from shared.store.queries.texts import run_texts


def wait(
    id: Annotated[str, typer.Argument(help="A task's id, or a run's id or its beginning.")],
    timeout: Annotated[
        str | None, typer.Option(help="How long to wait: 30s, 10m; without it, until the end.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the response as JSON only.")] = False,
) -> None:
    """Wait for the response to a task that was sent before, and print it as 'hutch ask' does."""
    settings = Settings.from_environment()
    within_s = options.duration("--timeout", timeout).total_seconds() if timeout else None
    agent, response, detail, budget = asyncio.run(_wait(settings, id, within_s))
    print_answer(agent, response, detail, budget, json=json)


async def _wait(
    settings: Settings, key: str, within_s: float | None
) -> tuple[str, Response, str, Budget | None]:
    """The agent, the response, the operator's detail and the budget of the run."""
    async with opened_store(settings) as store:
        await _check_sent(settings, store, key)

        async def ended() -> Row | None:
            found = await store.read(partial(reports.find, key=key))
            row = only_run(key, found) if found else None
            return row if row and row.ended_at else None

        row = await polled(ended, within_s)
        if row is None:
            raise HutchError(
                f"'{key}' has not ended within {within_s:.0f} s: see 'hutch show {key}'"
            )
        texts = await store.read(partial(run_texts, run_id=row.run_id))
        message = message_of(texts.message)
        return row.agent, response_of(texts.response or ""), texts.detail or "", message.budget


async def _check_sent(settings: Settings, store: Store, key: str) -> None:
    """Say why a message has no run yet. Raises `HutchError` if it will have none."""
    found = await store.read(partial(reports.find, key=key))
    places = [] if found else await whereabouts(settings, store, key)
    for place in places:
        if place.ended:
            raise HutchError(place.sentence)
        output.remark(place.sentence)
    if not places:
        only_run(key, found)
