"""A run as its owner loads it, and the lock that every write to it takes first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

from pydantic import Field, Json, TypeAdapter
from sqlalchemy import RowMapping, Update, bindparam, case, exists, select, update
from sqlalchemy.engine import Connection

from shared.contract.messages import Id
from shared.contract.rows import mended
from shared.contract.times import EARLIEST
from shared.errors import RunLost
from shared.store.database.prepared import Prepared
from shared.store.schema import INTEGER_MAX, LATEST_S, cancels, definitions, runs

Exchanges = tuple[tuple[str, str], ...]
"""Earlier questions and answers, oldest first."""

_LINES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
_EXCHANGES: TypeAdapter[Exchanges] = TypeAdapter(Exchanges)
Whole = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
Instant = Annotated[float, Field(ge=EARLIEST.timestamp(), le=LATEST_S)]


@dataclass(frozen=True)
class Run:
    """A claimed run with its frozen inputs; `message` and `definition` are JSON.

    `attempts` counts the owners that have died since its last finished step, `failures` the
    postponements since then. `cancelled` and `owner` are those at loading. `parked_at` is when it
    was last parked, None if never, and `parked_s` how long in all. `nonce` is secret: only
    values derived from it leave this process. `damage` names the columns that could not be read;
    their fields are blank, and the run can only end.
    """

    run_id: str
    agent: str
    task_id: Id
    kind: str
    message: str
    definition: str
    notes: Json[tuple[str, ...]]
    root_id: Id
    claimed_at: Instant
    deadline_at: Instant
    fence: Whole
    attempts: Whole
    failures: Whole
    epoch: Whole
    parent_id: Id | None = None
    cancelled: bool = False
    session: Id | None = None
    recalled: Json[Exchanges] = ()
    nonce: str = field(default="", repr=False)
    owner: str | None = None
    parked_at: float | None = None
    parked_s: float = 0.0
    damage: str = ""


_RUN = TypeAdapter(Run)
_BLANK = {
    "task_id": "unknown",
    "kind": "task",
    "message": "",
    "definition": "",
    "notes": "[]",
    "root_id": "unknown",
    "claimed_at": 0.0,
    "deadline_at": 0.0,
    "fence": 0,
    "attempts": 0,
    "failures": 0,
    "epoch": 1,
    "parent_id": None,
    "session": None,
    "recalled": "[]",
    "nonce": "",
    "owner": None,
    "parked_at": None,
    "parked_s": 0.0,
}


COLUMNS = (
    runs.c.run_id,
    runs.c.agent,
    runs.c.task_id,
    runs.c.kind,
    runs.c.message,
    definitions.c.body.label("definition"),
    runs.c.notes,
    runs.c.root_id,
    runs.c.claimed_at,
    runs.c.deadline_at,
    runs.c.fence,
    runs.c.attempts,
    runs.c.failures,
    runs.c.epoch,
    runs.c.parent_id,
    exists().where(cancels.c.run_id == runs.c.run_id).label("cancelled"),
    runs.c.session,
    runs.c.recalled,
    runs.c.nonce,
    runs.c.owner,
    runs.c.parked_at,
    runs.c.parked_s,
)


OWNED = (
    runs.c.run_id == bindparam("owned_run"),
    runs.c.fence == bindparam("owned_fence"),
    runs.c.ended_at.is_(None),
)
_LOCK = Prepared(lambda _: select(runs.c.fence).where(*OWNED).with_for_update())
NEXT_FENCE = case((runs.c.fence.between(1, INTEGER_MAX - 1), runs.c.fence + 1), else_=1)
"""The next fence. It differs from the present one even if that is damaged."""
CHANGE = update(runs).where(*OWNED)
"""The UPDATE of an owned run's row; statements for `change` extend it."""


def load(connection: Connection, run_id: str) -> Run:
    query = select(*COLUMNS).outerjoin_from(runs, definitions).where(runs.c.run_id == run_id)
    return from_row(connection.execute(query).mappings().one())


def from_row(row: Mapping[str, Any] | RowMapping) -> Run:
    return mended(_RUN, {**row, "recalled": row["recalled"] or "[]"}, _BLANK)


def dump_lines(lines: tuple[str, ...]) -> str:
    return _LINES.dump_json(lines).decode()


def dump_exchanges(recalled: Exchanges) -> str:
    return _EXCHANGES.dump_json(recalled).decode()


def lock(connection: Connection, run: Run) -> None:
    """Lock the run's row until the commit; raises `RunLost` if its fence has changed."""
    if not _LOCK.rows(connection, owned(run)):
        raise _lost(run)


def change(
    connection: Connection, run: Run, fields: Mapping[str, object], statement: Update = CHANGE
) -> None:
    """Lock the run's row as `lock` does and write to it, in one statement. Raises `RunLost`."""
    given = {**owned(run), **fields}
    if not _change(statement, tuple(fields)).rows(connection, given):
        raise _lost(run)


@cache
def _change(statement: Update, fields: tuple[str, ...]) -> Prepared:
    return Prepared(lambda _: statement.returning(runs.c.run_id), fields)


def owned(run: Run) -> dict[str, object]:
    return {"owned_run": run.run_id, "owned_fence": run.fence}


def _lost(run: Run) -> RunLost:
    return RunLost(f"run {run.run_id} goes on elsewhere (fence {run.fence} is old)")
