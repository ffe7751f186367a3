"""Parked runs: they wait for a person's decision, or for a worker that does, and have no process.

Whatever ends the wait makes the run due in its own commit: a decision, an expiry, a cancel, or the
end of a worker's run. The time in which a run is parked does not count for its deadline.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, case, select, update
from sqlalchemy.engine import Connection

from shared.contract.call_ids import call_of
from shared.store.database.prepared import Prepared
from shared.store.runs.run import CHANGE, Run, change
from shared.store.schema import LATEST_S, RunState, now_s, runs

_PARK = CHANGE.values(state=RunState.PARKED, owner=None, parked_at=now_s())

_parked_s = case((now_s() > runs.c.parked_at, now_s() - runs.c.parked_at), else_=0.0)
_ends_at = runs.c.deadline_at + _parked_s
_UNPARK = Prepared(
    lambda _: (
        update(runs)
        .where(runs.c.run_id == bindparam("parked_run"), runs.c.state == RunState.PARKED)
        .values(
            state=RunState.DUE,
            due_at=now_s(),
            deadline_at=case((_ends_at < LATEST_S, _ends_at), else_=LATEST_S),
            parked_s=runs.c.parked_s + _parked_s,
        )
        .returning(runs.c.run_id)
    )
)


def park(connection: Connection, run: Run) -> None:
    """Park an owned run; raises `RunLost`. The caller has made sure that something unparks it."""
    change(connection, run, {}, _PARK)


def unpark(connection: Connection, run_id: str) -> None:
    """Make a parked run due; does nothing to any other run."""
    _UNPARK.rows(connection, {"parked_run": run_id})


def unpark_manager(connection: Connection, run: Run) -> None:
    """Make the parked manager of a run due, because the run ends.

    A manager parks only after its worker, so a run that was never parked has no parked manager.
    """
    call = call_of(run.task_id)
    if call is not None and run.parked_at is not None:
        unpark(connection, call.run_id)


_LOCK_ANY = Prepared(
    lambda _: select(runs.c.run_id).where(runs.c.run_id == bindparam("any_run")).with_for_update()
)


def lock_and_unpark(connection: Connection, run_id: str) -> None:
    """Unpark a run, whose row stays locked until the commit: if another process is just parking it,
    it is parked before this commit or after it."""
    _LOCK_ANY.rows(connection, {"any_run": run_id})
    unpark(connection, run_id)


def lock_parked(connection: Connection, run_ids: Collection[str]) -> set[str]:
    """The parked ones of these runs. All of the runs are locked until the commit, so that none
    ends before it."""
    query = select(runs.c.run_id, runs.c.state).where(runs.c.run_id.in_(run_ids))
    rows = connection.execute(query.order_by(runs.c.run_id).with_for_update())
    return {row.run_id for row in rows if row.state == RunState.PARKED}


def parked(connection: Connection, run_ids: Collection[str]) -> set[str]:
    """The ones of these runs that are parked now."""
    query = select(runs.c.run_id).where(runs.c.run_id.in_(run_ids), runs.c.state == RunState.PARKED)
    return set(connection.execute(query).scalars())
