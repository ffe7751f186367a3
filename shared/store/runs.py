"""What a run is to a process that owns it, and the lock that every write takes first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import RowMapping, Update, bindparam, exists, select, update
from sqlalchemy.engine import Connection

from shared.errors import RunLost
from shared.store.schema import cancels, definitions, runs

Exchanges = tuple[tuple[str, str], ...]
"""What was asked and answered before, oldest first."""

_LINES: TypeAdapter[tuple[str, ...]] = TypeAdapter(tuple[str, ...])
_EXCHANGES: TypeAdapter[Exchanges] = TypeAdapter(Exchanges)


@dataclass(frozen=True)
class Run:
    """A claimed run with its frozen inputs; `message` and `definition` are JSON.

    `attempts` counts the owners that died since a step of it last finished, `failures` how often
    it has been put off since. `cancelled`: it was not wanted any more when it was loaded. `nonce`
    leaves this process only in what is derived from it.
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
    failures: int
    epoch: int
    parent_id: str | None = None
    cancelled: bool = False
    session: str | None = None
    recalled: Exchanges = ()
    nonce: str = field(default="", repr=False)


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
    fields["notes"] = _LINES.validate_json(row["notes"])
    fields["recalled"] = load_exchanges(row["recalled"])
    return Run(**fields)


def dump_lines(lines: tuple[str, ...]) -> str:
    return _LINES.dump_json(lines).decode()


def plain(text: str) -> str:
    """The text as any store keeps it: an error's can hold NUL or half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def load_exchanges(text: str | None) -> Exchanges:
    return _EXCHANGES.validate_json(text or "[]")


def dump_exchanges(recalled: Exchanges) -> str:
    return _EXCHANGES.dump_json(recalled).decode()


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
