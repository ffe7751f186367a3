"""A rehearsal: all statements of a short run are executed once, and undone.

An engine compiles a statement at its first execution, which takes many times as long as the next
ones: without a rehearsal, the first task of a process would wait for that.
"""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection

from shared.store.messages.outbox import remove_sent
from shared.store.messages.requesters import Requester
from shared.store.runs.claim import Request, claim
from shared.store.runs.end import RunEnd, end
from shared.store.runs.steps import Step, write_step
from shared.store.schema import metadata


def rehearse(connection: Connection, agent: str, instance: str, definition: str) -> None:
    """Claim a run for `instance`, write a step and the end, and clear the outbox; then roll all of
    it back. No other process sees any of it. `definition` is the digest of a stored one."""
    savepoint = connection.begin_nested()
    try:
        run = claim(connection, _request(agent, instance, definition), instance, slot=True).run
        assert run is not None  # its id holds the instance's, which is new
        write_step(connection, run, Step(1, 0, "model", "", "{}"))
        last = Step(2, 0, "model", "", "{}")
        sent = end(connection, run, RunEnd("ok", "", "", steps=(last,)), instance)
        remove_sent(connection, [message.seq for message in sent])
    finally:
        savepoint.rollback()


def rehearse_in_memory() -> None:
    """Rehearse on an empty SQLite store, which is closed again: processes that are forked
    afterwards share its compiled statements."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        metadata.create_all(connection)
        rehearse(connection, "", "", "")
    engine.dispose()


def _request(agent: str, instance: str, definition: str) -> Request:
    return Request(
        run_id=f"rehearsal.{instance}",
        agent=agent,
        task_id=f"rehearsal.{instance}",
        kind="task",
        content_hash="",
        message="{}",
        definition=definition,
        root_id="",
        parent_id=None,
        timeout_s=0.0,
        deadline_at=None,
        requester=Requester("rehearsal"),
        with_notes=True,
    )
