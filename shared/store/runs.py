"""What a run is to a process that owns it, and the lock that every write takes first."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, Update, bindparam, select, update
from sqlalchemy.engine import Connection

from shared.errors import RunLost
from shared.store.schema import definitions, runs

_LINES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True)
class Run:
    """A claimed run with its frozen inputs; `message` and `definition` are JSON.

    `attempts` counts the owners that died since a step of it last finished.
    """

    run_id: str
    agent: str
    task_id: str
    kind: str
    message: str
    definition: str
    notes: tuple[str, ...]
    root_id: str
    claimed_at: float
    deadline_at: float
    fence: int
    attempts: int
    epoch: int
    parent_id: str | None = None


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
    runs.c.epoch,
    runs.c.parent_id,
)


OWNED = (
    runs.c.run_id == bindparam("owned_run"),
    runs.c.fence == bindparam("owned_fence"),
    runs.c.ended_at.is_(None),
)
_LOCK = select(runs.c.fence).where(*OWNED).with_for_update()
CHANGE = update(runs).where(*OWNED)
"""What `change` executes, with or without values of its own."""


def load(connection: Connection, run_id: str) -> Run:
    query = select(*COLUMNS).join_from(runs, definitions).where(runs.c.run_id == run_id)
    return from_row(connection.execute(query).mappings().one())


def from_row(row: RowMapping) -> Run:
    fields: dict[str, Any] = {column.key: row[column.key] for column in COLUMNS}
    return Run(**fields | {"notes": _LINES.validate_json(row["notes"])})


def dump_lines(lines: tuple[str, ...]) -> str:
    return _LINES.dump_json(lines).decode()


def lock(connection: Connection, run: Run) -> None:
    """Hold the run's row until the commit; raises `RunLost` unless its fence is still `run`'s."""
    if connection.execute(_LOCK, owned(run)).first() is None:
        raise _lost(run)


def change(
    connection: Connection, run: Run, fields: Mapping[str, object], statement: Update = CHANGE
) -> None:
    """Lock the run's row as `lock` does, and write to it, at once."""
    if not connection.execute(statement, {**owned(run), **fields}).rowcount:
        raise _lost(run)


def owned(run: Run) -> dict[str, object]:
    return {"owned_run": run.run_id, "owned_fence": run.fence}


def _lost(run: Run) -> RunLost:
    return RunLost(f"run {run.run_id} goes on elsewhere (fence {run.fence} is old)")
