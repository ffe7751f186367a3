"""Steps shared by the tests of shared limits."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import update

from shared.contract.priority import Priority
from shared.store import Store
from shared.store.processes.rate_queue import LeaseRequest
from shared.store.processes.rate_tables import rate_leases, rate_limits, rate_waits

TIMES = (
    (rate_leases, ("granted_at", "returned_at")),
    (rate_waits, ("since", "until")),
    (rate_limits, ("cooled_until",)),
)


def ask(run: str, tokens: int = 10, priority: Priority = Priority.INTERACTIVE) -> LeaseRequest:
    return LeaseRequest(uuid4().hex, run, priority, tokens)


async def later(store: Store, seconds: float) -> None:
    """Let time pass for leases, waits and cool-downs."""
    for table, names in TIMES:
        passed = update(table).values({name: table.c[name] - seconds for name in names})
        await store.write("", lambda db, it=passed: db.execute(it))  # type: ignore[misc]  # bound now
