"""Runs: lists, searches, one run, its tree as a timeline, its steps, and cancelling it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from mimetypes import guess_extension
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.access.caller import Caller, Reader, Runner
from services.gateway.approvals import views
from services.gateway.encoded_slash import EncodedSlashRoute
from services.gateway.gateway import SharedGateway
from services.gateway.problems import Problem
from services.gateway.tasks.hub import SharedHub
from services.gateway.tasks.submission import cancel
from services.gateway.timeline.rows import RunRow, row_of
from services.gateway.timeline.run import RunView, read_run
from services.gateway.timeline.step import StepView, read_step
from services.gateway.timeline.tree import RunTree, TreeData, read_tree, tree_runs
from shared.contract.messages import AgentName, Id, Status
from shared.contract.rows import storable
from shared.contract.times import WrittenTime
from shared.store import Store
from shared.store.queries import search
from shared.store.queries.reports import (
    DELAYED_RUNS,
    SHORTEST_TO_CANCEL,
    Row,
    RunFilter,
    find,
    newest,
    rows_of,
)
from shared.store.runs.files import read_file
from shared.store.schema import INTEGER_MAX, LATEST_S, RunState

router = APIRouter(prefix="/api/runs", tags=["runs"], route_class=EncodedSlashRoute)

SEARCH_S = 1.0
"""A search ends after this time, and its page says how far back it has come."""
RunStatus = StrEnum(  # type: ignore[misc]  # mypy knows enums of literals only
    "RunStatus",
    [(it.name, it.value) for it in (*Status, *RunState) if it is not RunState.ENDED]
    + [("DELAYED", DELAYED_RUNS)],
)
"""How a run ended, or its state while it is open. Delayed ones are also due."""
RunKind = Literal["task", "trigger", "reaction", "tick"]
RunKey = Annotated[
    Id, Path(description="its id, a beginning of it that no other run has, or its task's id")
]
ID_CHARS = 32
BINARY = "application/octet-stream"


class RunPage(BaseModel):
    """A page of a list of runs, the newest first."""

    model_config = ConfigDict(frozen=True)

    runs: list[RunRow]
    next: str | None = Field(description="to be sent as `before` for the next page; null: no more")
    searched_to: datetime | None = Field(
        default=None,
        description="a search that has taken too long has only searched the runs claimed since",
    )


class Cancelled(BaseModel):
    model_config = ConfigDict(frozen=True)

    run_id: str


@router.get("")
async def list_runs(
    caller: Reader,
    gateway: SharedGateway,
    agent: AgentName | None = None,
    session: Id | None = None,
    status: Annotated[list[RunStatus] | None, Query(description="one or more")] = None,
    kind: Annotated[list[RunKind] | None, Query(description="one or more")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="an id, the beginning of one, or a text")
    ] = None,
    since: Annotated[WrittenTime | None, Query(description="of the claim")] = None,
    until: Annotated[WrittenTime | None, Query(description="of the claim")] = None,
    before: Annotated[
        str | None,
        Query(pattern=r"^[0-9a-f]{32}\.\d{1,12}\.\d{6}$", description="`next` of a page"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> RunPage:
    """The runs that fit all filters, the newest first.

    A search finds a run by its id or the beginning of it, by its task's id, its session, and the
    text of its message and answer. Its first page begins with the run of that id, however old it
    is.
    """
    if agent is not None:
        caller.check(agent)
    wanted = RunFilter(
        agent=agent,
        agents=caller.agents,
        session=session,
        kinds=kind or (),
        statuses=status or (),
        since=since,
        until=until,
    )
    wanted = _after(wanted, before)
    text = storable(q or "").strip()
    if text:
        return await _searched(gateway.store, wanted, text, limit)
    found = await gateway.store.read(lambda db: newest(db, wanted, limit + 1))
    page = found[:limit]
    more = page[-1] if len(found) > limit else None
    return RunPage(
        runs=[row_of(row) for row in page],
        next=_cursor(more.run_id, more.claimed_at.timestamp()) if more else None,
    )


@router.get("/{run}")
async def show_run(run: RunKey, caller: Reader, gateway: SharedGateway) -> RunView:
    """One run, by its id, a beginning of it that no other run has, or its task's id."""
    row = await run_of(gateway.store, run, caller)
    return await read_run(gateway.store, gateway.settings, row, caller)


@router.get("/{run}/tree", response_model=RunTree)
async def show_tree(
    run: RunKey,
    caller: Reader,
    gateway: SharedGateway,
    after: Annotated[
        float | None,
        Query(ge=0, le=LATEST_S, allow_inf_nan=False, description="`cursor` of an earlier answer"),
    ] = None,
) -> Response:
    """The whole tree that the run belongs to, with the bars of its timeline.

    With `after`, only the runs that may have changed since; each replaces what was known of it.
    """
    row = await run_of(gateway.store, run, caller)
    data = await read_tree(gateway.store, row.root_id, after)
    return Response(await asyncio.to_thread(_tree, data, caller), media_type="application/json")


@router.get("/{run}/steps/{epoch}/{turn}/{position}")
async def show_step(
    run: RunKey,
    epoch: Annotated[int, Path(ge=1, le=INTEGER_MAX)],
    turn: Annotated[int, Path(ge=0, le=INTEGER_MAX)],
    position: Annotated[int, Path(ge=-3, le=INTEGER_MAX)],
    caller: Reader,
    gateway: SharedGateway,
    full: Annotated[bool, Query(description="long texts are not cut")] = False,
) -> StepView:
    """A finished step with its input and output."""
    row = await run_of(gateway.store, run, caller)
    found = await read_step(gateway.store, gateway.settings, row, epoch, turn, position, full=full)
    if found is None:
        where = f"epoch {epoch}, turn {turn}, position {position}"
        raise Problem(HTTPStatus.NOT_FOUND, f"run {row.run_id} has no finished step at {where}")
    return found


@router.get(
    "/{run}/files/{digest}",
    response_class=Response,
    responses={200: {"content": {BINARY: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def show_file(
    run: RunKey,
    digest: Annotated[
        str,
        Path(
            pattern="^[0-9a-f]{8,64}$", description="the beginning of its SHA-256, as results say"
        ),
    ],
    caller: Reader,
    gateway: SharedGateway,
) -> Response:
    """A file in a result of the run's tools, to be saved: no browser opens it."""
    row = await run_of(gateway.store, run, caller)
    found = await gateway.store.read(lambda db: read_file(db, row.run_id, digest))
    if found is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"run {row.run_id} has no one file '{digest}'")
    file, content = found
    name = f"{file.digest[:16]}{guess_extension(file.media_type) or ''}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(content, headers=headers, media_type=BINARY)


@router.post("/{run}/cancel", status_code=HTTPStatus.ACCEPTED)
async def cancel_run(
    run: RunKey, caller: Runner, gateway: SharedGateway, hub: SharedHub
) -> Cancelled:
    """Cancel the run and all that it has caused; one that has ended stays as it is."""
    row = await run_of(gateway.store, run, caller)
    if run not in {row.run_id, row.task_id} and len(run) < SHORTEST_TO_CANCEL:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"'{run}' is the beginning of {row.run_id}: to cancel it, send at least "
            f"{SHORTEST_TO_CANCEL} characters",
        )
    await cancel(hub, caller, row.agent, row.task_id)
    return Cancelled(run_id=row.run_id)


async def run_of(store: Store, key: str, caller: Caller) -> Row:
    """The run that a key names, if the caller may see it."""
    exact = await store.read(lambda db: rows_of(db, [key])) if len(key) == ID_CHARS else ()
    found = exact or await store.read(lambda db: find(db, key))
    seen = [row for row in found if caller.sees(row.agent)]
    if not seen:
        raise Problem(HTTPStatus.NOT_FOUND, f"no run and no task has the id '{key}'")
    if len(seen) > 1:
        names = ", ".join(f"{row.run_id[:12]} of {row.agent}" for row in seen[:3])
        raise Problem(
            HTTPStatus.CONFLICT, f"'{key}' means {len(seen)} runs ({names}): send a longer id"
        )
    return seen[0]


def _tree(data: TreeData, caller: Caller) -> bytes:
    tree = RunTree(
        at=datetime.fromtimestamp(data.lines.now, UTC),
        cursor=str(data.lines.now),
        runs=tree_runs(data, caller),
        steps_total=data.lines.steps,
        approvals=views(data.approvals, caller),
    )
    return tree.model_dump_json(by_alias=True).encode()


async def _searched(store: Store, wanted: RunFilter, text: str, limit: int) -> RunPage:
    """Windows of the search, until the page is full or its time is over."""
    began = time.monotonic()
    by_id: Sequence[Row] = ()
    if wanted.before is None:
        by_id = (await store.read(lambda db: search.with_id(db, wanted, text)))[:limit]
    first = {row.run_id for row in by_id}
    found = list(by_id)
    while True:
        seen = await store.read(partial(search.window, wanted=wanted, text=text, limit=limit))
        found += [row for row in seen.found if row.run_id not in first]
        if seen.before is None:
            return RunPage(runs=[row_of(row) for row in found], next=None)
        wanted = replace(wanted, before=seen.before, before_at=seen.before_at)
        limit_reached = len(found) >= limit
        if limit_reached or time.monotonic() - began > SEARCH_S:
            return RunPage(
                runs=[row_of(row) for row in found],
                next=_cursor(seen.before, seen.before_at),
                searched_to=None if limit_reached else seen.searched_to,
            )


def _cursor(run_id: str, claimed_at: float) -> str:
    return f"{run_id}.{claimed_at:.6f}"


def _after(wanted: RunFilter, cursor: str | None) -> RunFilter:
    if cursor is None:
        return wanted
    run_id, _, at = cursor.partition(".")
    return replace(wanted, before=run_id, before_at=float(at))
