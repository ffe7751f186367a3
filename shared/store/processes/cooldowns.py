"""Cool-downs: how long all processes leave a model alone because its endpoint has asked for it."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from shared.store.database.dialect import lock_name, upsert
from shared.store.processes.rate_tables import rate_limits
from shared.store.schema import now_s

FIRST_S, LONGEST_S = 5.0, 60.0
"""The wait after a refusal that names none; doubled each time, until a call succeeds."""


def cool_down(connection: Connection, model: str, asked_s: float | None) -> None:
    """Record that the endpoint asks to wait; None: it does not say for how long.

    An earlier cool-down is only ever extended. Refusals during one are those of calls that had
    begun before: they don't make it longer unless they ask for more.
    """
    lock_name(connection, f"cool-down {model}")
    now: float = connection.execute(select(now_s())).scalar_one()
    its = rate_limits.c
    row = connection.execute(select(rate_limits).where(its.model == model)).first()
    until, strikes = (row.cooled_until, row.strikes) if row else (0.0, 0)
    if asked_s is not None:
        until = max(until, now + asked_s)
    elif until <= now:
        until = now + min(FIRST_S * 2.0 ** min(strikes, 10), LONGEST_S)
        strikes += 1
    fields = {"cooled_until": until, "strikes": strikes}
    statement = upsert(connection, rate_limits).values(model=model, **fields)
    statement = statement.on_conflict_do_update(index_elements=[its.model], set_=fields)
    connection.execute(statement)


def recover(connection: Connection, model: str) -> None:
    """A call has succeeded: the next cool-down begins with the shortest wait again."""
    over = rate_limits.c.model == model, rate_limits.c.cooled_until <= now_s()
    connection.execute(delete(rate_limits).where(*over))
