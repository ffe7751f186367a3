"""What a run is to a process that owns it, and the lock that every write takes first."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, select
from sqlalchemy.engine import Connection

from shared.errors import RunLost
from shared.store.schema import definitions, runs

_LINES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])


@dataclass(frozen=True)
class Run:
    """A claimed run with its frozen inputs; `message` and `definition` are JSON."""

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
)


def load(connection: Connection, run_id: str) -> Run:
    query = select(*COLUMNS).join_from(runs, definitions).where(runs.c.run_id == run_id)
    return from_row(connection.execute(query).mappings().one())


def from_row(row: RowMapping) -> Run:
    fields: dict[str, Any] = {column.key: row[column.key] for column in COLUMNS}
    return Run(**fields | {"notes": _LINES.validate_json(row["notes"])})


def dump_lines(lines: tuple[str, ...]) -> str:
    return _LINES.dump_json(lines).decode()


def lock(connection: Connection, run_id: str, fence: int) -> None:
    """Hold the run's row until the commit; raises `RunLost` unless `fence` is still its fence."""
    query = select(runs.c.fence).where(
        runs.c.run_id == run_id, runs.c.fence == fence, runs.c.ended_at.is_(None)
    )
    if connection.execute(query.with_for_update()).first() is None:
        raise RunLost(f"run {run_id} goes on elsewhere (fence {fence} is old)")
