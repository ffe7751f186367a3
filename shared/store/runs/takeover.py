"""The ownership of runs: taking, handing over and postponing. Each function is one commit."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Float, and_, bindparam, case, not_, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.priority import BACKGROUND_WAIT_S, Priority
from shared.contract.rows import storable
from shared.store.processes.heartbeats import ownerless
from shared.store.runs.cancels import UNWANTED
from shared.store.runs.marks import Mark, MarkKind, record
from shared.store.runs.run import CHANGE, NEXT_FENCE, Run, change, from_row
from shared.store.runs.run import COLUMNS as RUN_COLUMNS
from shared.store.runs.sessions import freeze_recalled, has_its_turn
from shared.store.schema import ACTIVE, INTEGER_MAX, RunState, definitions, now_s, runs

SUSPECTED_AFTER = 2
"""The deaths of owners, with no step finished in between, that make a run a suspect. One death
is not enough: each run that the dead process computed has it."""

_died = case((runs.c.state == RunState.RUNNING, 1), else_=0)
"""1 for a run whose owner was computing it when it died. A run that only waited for workers can't
have killed its owner."""
SUSPECT = runs.c.attempts >= SUSPECTED_AFTER - _died
_attempts = case((runs.c.attempts < INTEGER_MAX, runs.c.attempts + _died), else_=runs.c.attempts)
_due = and_(runs.c.state == RunState.DUE, runs.c.due_at <= now_s(), has_its_turn())
_begun = runs.c.state.in_([RunState.RUNNING, RunState.WAITING])
TAKEABLE = or_(_due, and_(_begun, ownerless(runs.c.owner)))
"""The condition that an open run may be taken; its parameter is `dead`, the dead instances."""
DELAYED = and_(
    runs.c.state == RunState.DUE,
    runs.c.due_at > now_s(),
    runs.c.failures == 0,
    runs.c.detail.is_(None),
)
"""The condition that a run was claimed and may not start yet. Other runs that are due later were
postponed, for the reason in their `detail`, and will be tried again."""

_order = runs.c.due_at + case((runs.c.priority == Priority.BACKGROUND, BACKGROUND_WAIT_S), else_=0)
BEFORE_DELIVERIES = and_(TAKEABLE, _order <= now_s())
"""The condition that a run that may be taken goes before new deliveries."""


def take(
    connection: Connection,
    agent: str,
    instance: str,
    dead: Collection[str],
    limit: int,
    earlier: dict[str, bool],
    *,
    suspects: bool = False,
) -> list[Run]:
    """Take up to `limit` runs of `agent`: those that are due, and those whose owner is dead.

    Takes either suspects or all other runs, the oldest due first; a background run counts as due
    `BACKGROUND_WAIT_S` later. Rows that another replica is taking are skipped. A taken run's fence
    increases, so that a late write of its last owner finds no row. `earlier` is a dict that the
    caller creates empty for this call. Afterwards it says for each run whether its owner was dead;
    a repetition after an unknown commit returns the runs in it that this instance already owns.
    """
    if ours := _owned_of(connection, instance, earlier):
        return ours
    chosen = connection.execute(
        select(runs.c.run_id, runs.c.state, runs.c.owner, runs.c.session_place, runs.c.recalled)
        .where(
            runs.c.agent == agent,
            ACTIVE,
            TAKEABLE,
            SUSPECT if suspects else not_(SUSPECT),
        )
        .order_by(_order, runs.c.run_id)
        .limit(limit)
        .with_for_update(skip_locked=True),
        {"dead": list(dead)},
    ).all()
    earlier.clear()
    earlier.update((row.run_id, row.state != RunState.DUE) for row in chosen)
    connection.execute(
        update(runs)
        .where(runs.c.run_id.in_(earlier))
        .values(
            owner=instance,
            state=RunState.RUNNING,
            fence=NEXT_FENCE,
            attempts=_attempts,
        )
    )
    if begun := [row.run_id for row in chosen if row.session_place and row.recalled is None]:
        freeze_recalled(connection, begun)
    taken = _owned_of(connection, instance, earlier)
    owners = {row.run_id: row.owner for row in chosen}
    for run in taken:
        kind = MarkKind.TAKEN_OVER if earlier[run.run_id] else MarkKind.STARTED
        _mark(connection, run, kind, str(owners[run.run_id] or ""))
    return taken


def _mark(connection: Connection, run: Run, kind: MarkKind, reason: str = "") -> None:
    record(connection, Mark(run.run_id, kind, run.owner or "", reason), run.fence)


def _owned_of(connection: Connection, instance: str, run_ids: Collection[str]) -> list[Run]:
    if not run_ids:
        return []
    query = (
        select(*RUN_COLUMNS)
        .outerjoin_from(runs, definitions)
        .where(runs.c.run_id.in_(run_ids), runs.c.owner == instance)
        .order_by(_order, runs.c.run_id)
    )
    return [from_row(row) for row in connection.execute(query).mappings()]


def set_state(connection: Connection, run: Run, state: RunState) -> None:
    """Set the state of an owned run, running or waiting. Raises `RunLost`."""
    change(connection, run, {"state": state})


_then = now_s() + bindparam("delay_s", type_=Float(53))
_HAND_OVER = CHANGE.values(state=RunState.DUE, owner=None, due_at=_then)
_HAND_OVER_LATER = CHANGE.values(
    state=case((UNWANTED, runs.c.state), else_=RunState.DUE),
    owner=case((UNWANTED, runs.c.owner), else_=None),
    due_at=_then,
)
_POSTPONE = CHANGE.values(
    state=RunState.DUE,
    owner=None,
    due_at=case((_then < runs.c.deadline_at, _then), else_=runs.c.deadline_at),
)


def hand_over(connection: Connection, run: Run, *, delay_s: float = 0) -> None:
    """Give up an owned run, for any replica to continue. Raises `RunLost`.

    A delay is given when the end could not be committed; this counts as a failure, as an
    unavailable model does. A cancelled or overdue run then keeps its owner for the delay: as a due
    run it would be taken again at once, over and over.
    """
    if delay_s:
        fields = {"delay_s": delay_s, "failures": run.failures + 1}
        change(connection, run, fields, _HAND_OVER_LATER)
    else:
        change(connection, run, {"delay_s": 0.0}, _HAND_OVER)
    _mark(connection, run, MarkKind.HANDED_OVER)


def postpone(
    connection: Connection, run: Run, *, failures: int, wait_s: float, detail: str
) -> None:
    """Make an owned run whose model is unavailable due again in `wait_s`, for any replica.

    It becomes due at its deadline at the latest. `failures` counts the postponements in a row, with
    this one; `detail` is for the operator, as in `RunEnd`. Raises `RunLost`.
    """
    fields = {"failures": failures, "detail": storable(detail), "delay_s": wait_s}
    change(connection, run, fields, _POSTPONE)
    _mark(connection, run, MarkKind.POSTPONED, detail)
