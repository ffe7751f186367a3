"""`hutch runs`: list runs, open and ended."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer
from pydantic_core import to_json

from services.cli import agents, options, output
from services.cli.agents import known_names
from services.cli.options import Json
from services.cli.places import store_place
from services.cli.store import only_run, opened_store
from shared.client.costs import Costs, read_costs
from shared.contract.messages import Status
from shared.settings.environment import Settings
from shared.store.queries.reports import DELAYED_RUNS, Row, RunFilter, find, newest
from shared.store.schema import RunState

SHORT = 12
"""Characters of a run's id: enough to distinguish runs, and every command accepts it."""

COLUMNS = ["run", "claimed", "agent", "kind", "status", "took#", "deaths#", "USD#", "USD in all#"]
COLUMNS += ["task id", "text"]
"""`deaths` are the processes that died on a run since its last finished step; `USD in all` is the
cost of a run with all that it has caused, where that differs from its own."""
SPARE = ["USD in all", "took", "kind"]
"""What is left out first on a narrow terminal."""

RunStatus = StrEnum(  # type: ignore[misc]  # mypy knows enums of literals only
    "RunStatus",
    [(it.name, it.value) for it in (*Status, *RunState) if it is not RunState.ENDED]
    + [("DELAYED", DELAYED_RUNS)],
)
"""How a run ended, or its state while it is open. Delayed ones are also due."""


class Kind(StrEnum):
    TASK = "task"
    TRIGGER = "trigger"
    REACTION = "reaction"
    TICK = "tick"


def runs(
    agent: Annotated[
        str | None, typer.Argument(help="Only this agent's runs.", autocompletion=known_names)
    ] = None,
    status: Annotated[
        list[RunStatus] | None,
        typer.Option(help="Only runs with this status; give it again for several."),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="Only runs of this kind; give it again for several."),
    ] = None,
    session: Annotated[str | None, typer.Option(help="Only runs of this conversation.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Only runs claimed since: 2h, 09:00 or 2026-11-30T09:00."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Only runs claimed until then, written as for --since.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="The next page: the runs that come after this one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most runs to list.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the newest first.

    Times are local; JSON has them in UTC. USD is the cost of a run alone, and in all: with the
    runs that it has caused.
    """
    settings = Settings.from_environment()
    if agent is not None:
        agents.check_agent(settings, agent)
    now = datetime.now(UTC)
    wanted = RunFilter(
        agent=agent,
        session=session,
        kinds=kind or (),
        statuses=status or (),
        since=options.past("--since", since, now) if since else None,
        until=options.past("--until", until, now) if until else None,
    )
    found, costs = asyncio.run(_read(settings, wanted, before, limit))
    page = found[:limit]
    if not page:
        output.remark(f"no such runs in {store_place(settings, 'runs')}")
    if json:
        output.say(to_json([_fields(row, costs) for row in page]).decode())
        return
    if not page:
        return
    cells = [_cells(row, costs) for row in page]
    if sys.stdout.isatty():  # a worker's task id is long, and the run's id is enough
        at = COLUMNS.index("task id")
        cells = [[*it[:at], "", *it[at + 1 :]] for it in cells]
    output.show_table(COLUMNS, cells, spare=SPARE)
    if any(costs.tree(row.run_id).incomplete for row in page):
        output.remark("+?: the price of a model is not known; 'hutch show RUN' names it")
    if len(found) > limit:
        output.remark(f"older ones: the same command with --before {page[-1].run_id[:SHORT]}")


async def _read(
    settings: Settings, wanted: RunFilter, before: str | None, limit: int
) -> tuple[Sequence[Row], Costs]:
    """A page of runs, and the one after it if there are more."""
    async with opened_store(settings) as store:
        if before is not None:
            last = only_run(before, await store.read(lambda connection: find(connection, before)))
            wanted = replace(wanted, before=last.run_id)
        found = await store.read(lambda connection: newest(connection, wanted, limit + 1))
        return found, await read_costs(store, settings, (row.root_id for row in found[:limit]))


def _fields(row: Row, costs: Costs) -> dict[str, object]:
    return {
        **vars(row),
        "cost": costs.run(row.run_id).json,
        "cost_in_all": costs.tree(row.run_id).json,
    }


def _cells(row: Row, costs: Costs) -> list[str]:
    own, in_all = costs.run(row.run_id), costs.tree(row.run_id)
    return [
        row.run_id[:SHORT],
        output.list_time(row.claimed_at),
        row.agent,
        row.kind,
        f"{row.status}, damaged" if row.damage else row.status + output.ahead(row.due_at),
        f"{(row.ended_at - row.claimed_at).total_seconds():.1f} s" if row.ended_at else "",
        str(row.attempts or ""),
        own.cell,
        in_all.cell if in_all != own else "",
        row.task_id,
        row.text,
    ]
