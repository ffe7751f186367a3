"""The answer to a task, as `hutch ask` and `hutch wait` print it."""

from __future__ import annotations

from functools import partial

import typer

from services.cli import output
from shared.contract.messages import ANSWERED, Budget, Response, Status, encode, run_id
from shared.contract.rows import response_of
from shared.errors import HutchError
from shared.settings.environment import Settings

SCRIPTED = "scripted"
"""The name of the model that is none."""


REPEATED = "the model's endpoint said "
"""The beginning of a detail whose response begins alike: the model's endpoint refused the key."""


def print_answer(
    agent: str, response: Response, detail: str | None, budget: Budget | None, *, json: bool
) -> None:
    """Print the response to a task of `agent`; `detail` is None if it is not known.

    Raises `typer.Exit` with code 1 unless the status is `ok`.
    """
    output.say(encode(response).decode() if json else response.content)
    if not json:
        if response.model == SCRIPTED and response.status in ANSWERED:
            output.remark("[scripted] the scripted model has written this: no model was asked")
        if budget:
            output.remark(output.spent(budget, response.usage))
        if response.status is not Status.OK:
            output.remark(ending(agent, response, detail))
    if response.status is not Status.OK:
        raise typer.Exit(1)


def ending(agent: str, response: Response, detail: str | None) -> str:
    """A sentence on an end that is not `ok`."""
    if response.agent not in {agent, ""}:
        return (
            f"a process of {response.agent} has refused it for {agent}, which its folder of "
            "agents does not have"
        )
    line = f"{agent} has ended with: {response.status}"
    if detail is None:
        return f"{line}; 'hutch show {response.task_id}' says why"
    added = "" if detail in response.content else detail.removeprefix(REPEATED)
    return f"{line}: {added}" if added else line


async def detail_of(settings: Settings, agent: str, response: Response) -> str | None:
    """What the store says for the operator on the end of this response's run; None if it can't be
    read. Empty if there is nothing to say, or if the response is not a run's."""
    if response.status is Status.OK:
        return ""

    from services.cli.store import opened_store  # see `receiver`
    from shared.store.queries import reports
    from shared.store.queries.texts import run_texts

    run = run_id(agent, response.task_id)
    try:
        async with opened_store(settings) as store:
            if not await store.read(partial(reports.find, key=run)):
                return "" if response.status is Status.REFUSED else None
            texts = await store.read(partial(run_texts, run_id=run))
        ours = texts.response is not None and response_of(texts.response).id == response.id
        return (texts.detail or "") if ours else ""
    except HutchError:
        return None
