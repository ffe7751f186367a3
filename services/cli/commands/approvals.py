"""`hutch approvals`, `approve` and `deny`: calls that wait for a person's decision."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from pydantic_core import to_json

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.approval_text import decision, fields
from services.cli.options import Json
from services.cli.store import only_run, opened_store
from shared.contract.approvals import ApprovalState
from shared.errors import HutchError, SettingsError
from shared.settings.caller import caller
from shared.settings.environment import Settings
from shared.store.queries import reports
from shared.store.queries.approvals import ApprovalFilter, find, listed
from shared.store.runs.approvals import NOTE_CHARS, Approval, Decided, Effect, decide

COLUMNS = ["id", "asked", "agent", "call", "decision", "run", "arguments"]
SPARE = ["asked", "run"]
"""The columns that are left out first on a narrow terminal."""
SHORT = 12
"""Characters of a run's id, which every command accepts."""

Id = Annotated[str, typer.Argument(help="The id of a request, or its beginning.")]
Note = Annotated[
    str, typer.Option(help="The reason: it is recorded, and the model reads that of a denial.")
]


def approvals(
    agent: Annotated[
        str | None, typer.Argument(help="Only this agent's calls.", autocompletion=known_names)
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Only calls of the tree of runs that this run belongs to.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are decided.")] = False,
    after: Annotated[
        str | None, typer.Option(help="The next page: the requests that come after this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most to list.")] = 50,
    json: Json = False,
) -> None:
    """List calls that wait for a person's decision, the oldest first.

    'hutch approve ID' lets such a call be made, 'hutch deny ID' answers it with a denial.
    """
    settings = Settings.from_environment()
    if agent is not None:
        agents.check_agent(settings, agent)
    wanted = ApprovalFilter(pending=not every, agent=agent, after=after)
    found = asyncio.run(_listed(settings, wanted, run, limit + 1))
    page = found[:limit]
    if json:
        output.say(to_json([fields(it) for it in page]).decode())
    elif page:
        output.show_table(COLUMNS, [_cells(it) for it in page], spare=SPARE)
    else:
        output.remark("no call waits for approval")
    if len(found) > limit and not json:
        output.remark(f"later ones: the same command with --after {page[-1].approval_id}")


def approve(id: Id, note: Note = "", json: Json = False) -> None:
    """Approve a call: it is made once, and its run goes on."""
    _decide(id, ApprovalState.APPROVED, note, json=json)


def deny(id: Id, note: Note = "", json: Json = False) -> None:
    """Deny a call: it is not made, its model gets the note, and its run goes on."""
    _decide(id, ApprovalState.DENIED, note, json=json)


async def _listed(
    settings: Settings, wanted: ApprovalFilter, run: str | None, limit: int
) -> Sequence[Approval]:
    async with opened_store(settings) as store:
        if run is None:
            return await store.read(partial(listed, wanted=wanted, limit=limit))
        row = only_run(run, await store.read(partial(reports.find, key=run)))
        of_tree = replace(wanted, root_id=row.root_id)
        return await store.read(partial(listed, wanted=of_tree, limit=limit))


def _decide(key: str, state: ApprovalState, note: str, *, json: bool) -> None:
    if len(note) > NOTE_CHARS:
        raise SettingsError(f"--note has at most {NOTE_CHARS} characters")
    decided = asyncio.run(_decided(Settings.from_environment(), key, state, note))
    sentence = after_decision(decided)
    if decided.effect in {Effect.OTHERWISE, Effect.ENDED}:
        raise HutchError(sentence)
    output.say(to_json(fields(decided.approval)).decode() if json else sentence)


async def _decided(settings: Settings, key: str, state: ApprovalState, note: str) -> Decided:
    async with opened_store(settings) as store:
        found = await store.read(partial(find, key=key))
        if not found:
            raise HutchError(f"no request has the id '{key}': 'hutch approvals' lists them")
        if len(found) > 1:
            names = ", ".join(it.approval_id for it in found)
            raise HutchError(f"'{key}' means more than one request; name one: {names}")
        write = partial(
            decide, approval_id=found[0].approval_id, decision=state, by=caller(), note=note
        )
        decided = await store.write(found[0].run_id, write)
        if decided is None:
            raise HutchError(f"the run of '{key}' has been deleted")
        return decided


def after_decision(decided: Decided) -> str:
    """A sentence on the effect of a decision."""
    it = decided.approval
    what = f"{it.name} of {it.agent}"
    match decided.effect:
        case Effect.DECIDED:
            return f"{what} is {it.state}; run {it.run_id[:SHORT]} goes on"
        case Effect.ALREADY:
            return f"{what} was already {decision(it, with_note=False)}; nothing has changed"
        case Effect.OTHERWISE:
            return f"{what} was already {decision(it, with_note=False)}; that stays"
        case Effect.ENDED:
            return (
                f"{what} is not asked for any more: run {it.run_id[:SHORT]} has ended, or asks for "
                "another call; 'hutch approvals' lists what waits now"
            )


def _cells(it: Approval) -> list[str]:
    return [
        it.approval_id,
        output.list_time(datetime.fromtimestamp(it.asked_at, UTC)),
        it.agent,
        it.name,
        decision(it),
        it.run_id[:SHORT],
        it.arguments,
    ]
