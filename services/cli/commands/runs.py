"""`hutch runs`: list runs, open and ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from pydantic_core import to_json

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.costs import Costs, read_costs
from services.cli.options import Json
from services.cli.places import store_place
from services.cli.store import opened_store
from shared.contract.messages import Status
from shared.settings.environment import Settings
from shared.store.queries.reports import Row, newest
from shared.store.schema import RunState

SHORT = 12
"""Characters of a run's id: enough to distinguish runs, and 'hutch show' accepts it."""

COLUMNS = ["run", "agent", "kind", "status", "attempts#", "claimed (UTC)", "seconds#", "USD#"]
COLUMNS += ["in all#", "task"]
"""`in all` is the cost of a run with all that it has caused."""


RunStatus = StrEnum(  # type: ignore[misc]  # mypy knows enums of literals only
    "RunStatus", [(it.name, it.value) for it in (*Status, *RunState) if it is not RunState.ENDED]
)
"""How a run ended, or its state while it is open."""


def runs(
    agent: Annotated[
        str | None, typer.Argument(help="Only this agent's runs.", autocompletion=known_names)
    ] = None,
    status: Annotated[RunStatus | None, typer.Option(help="Only runs with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The most runs to list.")] = 20,
    json: Json = False,
) -> None:
    """List runs, the newest first.

    Their costs are of each run alone, and in all: with the runs that it has caused.
    """
    settings = Settings.from_environment()
    if agent is not None:
        agents.check_agent(settings, agent)

    async def read() -> tuple[Sequence[Row], Costs]:
        async with opened_store(settings) as store:
            found = await store.read(lambda connection: newest(connection, agent, status, limit))
            return found, await read_costs(store, settings, (row.root_id for row in found))

    found, costs = asyncio.run(read())
    if not found:
        output.remark(f"no such runs in {store_place(settings, 'runs')}")
    if json:
        output.say(to_json([_fields(row, costs) for row in found]).decode())
    else:
        output.show_table(COLUMNS, [_cells(row, costs) for row in found])


def _fields(row: Row, costs: Costs) -> dict[str, object]:
    return {
        **vars(row),
        "cost": costs.run(row.run_id).json,
        "cost_in_all": costs.tree(row.run_id).json,
    }


def _cells(row: Row, costs: Costs) -> list[str]:
    return [
        row.run_id[:SHORT],
        row.agent,
        row.kind,
        f"{row.status}, damaged" if row.damage else row.status + output.ahead(row.due_at),
        str(row.attempts),
        f"{row.claimed_at:%Y-%m-%d %H:%M:%S}",
        _seconds(row),
        costs.run(row.run_id).cell,
        costs.tree(row.run_id).cell,
        row.task_id,
    ]


def _seconds(row: Row) -> str:
    """The seconds from claim to end; a dash while the run is open."""
    if row.ended_at is None:
        return "-"
    return f"{(row.ended_at - row.claimed_at).total_seconds():.1f}"
