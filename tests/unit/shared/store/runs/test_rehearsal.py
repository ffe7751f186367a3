from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from shared.store import Store
from shared.store.runs.claim import freeze
from shared.store.runs.rehearsal import rehearse
from shared.store.schema import outbox, requesters, runs, steps


def _rows(connection: Connection) -> int:
    tables = (runs, requesters, steps, outbox)
    return sum(
        connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables
    )


async def test_a_rehearsal_executes_a_run_and_leaves_no_row(store: Store) -> None:
    def rehearsed(connection: Connection) -> int:
        freeze(connection, "digest", "{}")
        rehearse(connection, "alice", "alice.1", "digest")
        rehearse(
            connection, "alice", "alice.1", "digest"
        )  # the first one has left nothing in its way
        return _rows(connection)

    assert await store.write("", rehearsed) == 0
    assert await store.read(_rows) == 0
