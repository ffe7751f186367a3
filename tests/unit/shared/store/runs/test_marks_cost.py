"""What a run's timeline costs a run. It is counted on SQLite, whose driver traces statements."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from shared.contract.messages import Status
from shared.store import Store
from shared.store.runs.claim import claim
from shared.store.runs.end import RunEnd, end
from shared.store.runs.steps import Step, write_step
from tests.support.stores.steps import DONE, request

STORES = ["sqlite"]
STEP = Step(1, 0, "model", "turn", "{}", seconds=0.5)


async def test_a_run_without_trouble_executes_no_statement_for_its_timeline(
    store: Store,
) -> None:
    statements: list[str] = []

    def troubleless(connection: Connection) -> None:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.set_trace_callback(statements.append)
        run = claim(connection, request(), "alice.1", slot=True).run
        assert run is not None
        write_step(connection, run, STEP)
        end(connection, run, RunEnd(Status.OK, "m1", DONE, steps=(STEP,)), "alice.1")
        raw.set_trace_callback(None)

    await store.write("", troubleless)
    assert sum(it.startswith("INSERT INTO steps") for it in statements) == 2
    assert not [it for it in statements if "marks" in it]
