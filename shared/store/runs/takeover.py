"""Who runs what: take-overs and hand-overs. Each function is one committed step."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Float, and_, bindparam, case, not_, or_, select, update
from sqlalchemy.engine import Connection

from shared.contract.rows import storable
from shared.store.processes.heartbeats import ownerless
from shared.store.runs.cancels import UNWANTED
from shared.store.runs.run import CHANGE, NEXT_FENCE, Run, change, from_row
from shared.store.runs.run import COLUMNS as RUN_COLUMNS
from shared.store.runs.sessions import freeze_recalled, has_its_turn
from shared.store.schema import WHOLE_MOST, RunState, definitions, now_s, runs

SUSPECTED_AFTER = 2
"""Owners that died while they computed a run, with no step of it finished since: one death has
many neighbours, a second one makes a suspect."""

_died = case((runs.c.state == RunState.RUNNING, 1), else_=0)
"""Of a run to be taken: whether its owner computed it until the end. One that only waited for
workers can't have killed it."""
SUSPECT = runs.c.attempts >= SUSPECTED_AFTER - _died
_attempts = case((runs.c.attempts < WHOLE_MOST, runs.c.attempts + _died), else_=runs.c.attempts)
_due = and_(runs.c.state == RunState.DUE, runs.c.due_at <= now_s(), has_its_turn())
_begun = runs.c.state.in_([RunState.RUNNING, RunState.WAITING])
TAKEABLE = or_(_due, and_(_begun, ownerless(runs.c.owner)))
"""Of an open run; `dead` is to be given."""


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
    """Own up to `limit` runs of `agent`: those that are due, and those whose owner is dead.

    Suspects, or all others. Oldest due first; rows that another replica is taking are skipped.
    A taken run's fence moves on, so that a late write of its last owner finds no row. `earlier`
    is empty at first and belongs to this one take: repeated after an unknown commit, it finds
    there what may be its own already. Afterwards it says of each run whether its owner was dead.
    """
    if ours := _owned_of(connection, instance, earlier):
        return ours
    chosen = connection.execute(
        select(runs.c.run_id, runs.c.state, runs.c.session_place, runs.c.recalled)
        .where(
            runs.c.agent == agent,
            runs.c.ended_at.is_(None),
            TAKEABLE,
            SUSPECT if suspects else not_(SUSPECT),
        )
        .order_by(runs.c.due_at, runs.c.run_id)
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
    return _owned_of(connection, instance, earlier)


def _owned_of(connection: Connection, instance: str, run_ids: Collection[str]) -> list[Run]:
    if not run_ids:
        return []
    query = (
        select(*RUN_COLUMNS)
        .outerjoin_from(runs, definitions)
        .where(runs.c.run_id.in_(run_ids), runs.c.owner == instance)
        .order_by(runs.c.due_at, runs.c.run_id)
    )
    return [from_row(row) for row in connection.execute(query).mappings()]


def set_state(connection: Connection, run: Run, state: RunState) -> None:
    """Say whether an owned run computes or only waits; raises `RunLost`."""
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
    """Let any replica go on with an owned run; raises `RunLost`.

    With a delay: its end has failed, which counts as a failure, as a model that is away does. A run
    that only has to end stays its owner's meanwhile: due, it would be taken at once, for ever.
    """
    if delay_s:
        fields = {"delay_s": delay_s, "failures": run.failures + 1}
        change(connection, run, fields, _HAND_OVER_LATER)
    else:
        change(connection, run, {"delay_s": 0.0}, _HAND_OVER)


def postpone(
    connection: Connection, run: Run, *, failures: int, wait_s: float, detail: str
) -> None:
    """Make an owned run whose model is away due again in `wait_s`, for any replica.

    Never later than the run's deadline, where it ends. `failures` is how often in a row it has been
    postponed, this time included; `detail` is for the operator, as at the end. Raises `RunLost`.
    """
    fields = {"failures": failures, "detail": storable(detail), "delay_s": wait_s}
    change(connection, run, fields, _POSTPONE)
