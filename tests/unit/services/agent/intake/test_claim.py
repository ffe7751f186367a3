"""However a claim ends, the slot that was taken for it belongs to a run or is free again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from services.agent.intake.claim import Claims, Kind
from services.agent.runs.admission import Admission
from services.agent.runs.open_runs import OpenRuns
from shared.contract.messages import Task, Trigger
from shared.definitions.model import Definition, Limits
from shared.errors import BadMessage, StoreError
from shared.store import Store
from shared.store.queries.reports import find
from shared.store.queries.texts import run_texts
from shared.store.runs.claim import freeze
from tests.support.processes.instances import instance, runs_of

TASK = Task(id="t1", content="Do it.")


@dataclass
class Replica:
    """A process without a broker, with one slot, whose runs call no model."""

    claims: Claims
    admission: Admission
    runs: OpenRuns

    @property
    def taken(self) -> tuple[int, int]:
        return self.admission.taken, self.runs.open


@asynccontextmanager
async def replica(store: Store, definition: Definition | None = None) -> AsyncIterator[Replica]:
    own, admission = instance(store, definition), Admission(1)
    await store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    async with asyncio.timeout(30), asyncio.TaskGroup() as jobs:
        runs = runs_of(own, admission, jobs)
        yield Replica(Claims(own, admission, runs, runs.execution.endings.outbox), admission, runs)
        await admission.idle.wait()


async def test_a_claimed_task_has_a_slot_until_it_has_ended(store: Store) -> None:
    async with replica(store) as it:
        await it.claims.accept(TASK, "task")
        assert it.taken == (1, 1)
    assert it.taken == (0, 0)


async def test_an_id_that_was_used_for_other_content_takes_no_slot(store: Store) -> None:
    async with replica(store) as it:
        await it.claims.accept(TASK, "task")
        await it.admission.idle.wait()
        with pytest.raises(BadMessage):
            await it.claims.accept(Task(id="t1", content="Do another thing."), "task")
        assert it.taken == (0, 0)


async def test_a_repeated_task_takes_no_second_slot(store: Store) -> None:
    async with replica(store) as it:
        await asyncio.gather(*(it.claims.accept(TASK, "task") for _ in range(3)))
        assert it.taken == (1, 1)
        await it.admission.idle.wait()
        await it.claims.accept(TASK, "task")
        assert it.taken == (0, 0)


async def test_a_claim_that_the_store_refuses_takes_no_slot(store: Store) -> None:
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END"
    async with replica(store) as it:
        await store.write("", lambda db: db.execute(text(trigger)).close())
        with pytest.raises(StoreError):
            await it.claims.accept(TASK, "task")
        assert it.taken == (0, 0)


async def test_a_claim_that_is_cancelled_takes_no_slot(store: Store) -> None:
    async with replica(store) as it:
        claim = asyncio.create_task(it.claims.accept(TASK, "task"))
        await asyncio.sleep(0)
        assert it.admission.taken == 1
        claim.cancel()
        await asyncio.wait([claim])
        assert it.taken == (0, 0)


async def test_a_task_that_is_one_too_many_ends_refused_and_takes_no_slot(store: Store) -> None:
    capped = Definition(name="alice", limits=Limits(caused_per_minute=1))
    async with replica(store, capped) as it:
        await it.claims.accept(TASK, "task", cause="bob")
        await it.admission.idle.wait()
        await it.claims.accept(Task(id="t2", content="Go on."), "task", cause="bob")
        assert it.taken == (0, 0)
    (row,) = await store.read(lambda db: find(db, "t2"))
    assert row.status == "refused"
    found = await store.read(lambda db: run_texts(db, row.run_id))
    assert "runs of bob have caused more than 1 tasks" in (found.response or "")


@pytest.mark.parametrize("kind", ["task", "trigger"])
async def test_an_id_that_an_agent_gives_itself_is_refused_from_outside(
    store: Store, kind: Kind
) -> None:
    """Taken first, it would keep the agent from its own tick, or from reacting to a peer."""
    async with replica(store) as it:
        with pytest.raises(BadMessage, match="begin with '@' are the agent's own"):
            await it.claims.accept(Trigger(id="@t1"), kind)
    assert not await store.read(lambda db: find(db, "@t1"))


@pytest.mark.parametrize("kind", ["reaction", "tick"])
async def test_an_agent_begins_under_its_own_ids(store: Store, kind: Kind) -> None:
    async with replica(store) as it:
        await it.claims.accept(Trigger(id="@t1"), kind)
    [row] = await store.read(lambda db: find(db, "@t1"))
    assert row.kind == kind


async def test_a_delayed_task_takes_no_slot_and_causes_no_poll(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    async with replica(store) as it:
        await it.claims.accept(Task(id="t1", content="Do it.", not_before=later), "task")
        assert it.taken == (0, 0)
        assert not it.admission.wants_due.is_set()
    (row,) = await store.read(lambda db: find(db, "t1"))
    assert row.status == "due"
    assert row.due_at
    assert abs(row.due_at - later) < timedelta(seconds=0.01)


async def test_a_task_that_cannot_be_delayed_as_it_asks_is_bad_input(store: Store) -> None:
    later = datetime.now(UTC) + timedelta(days=31)
    async with replica(store) as it:
        with pytest.raises(
            BadMessage, match="not_before: a task can be delayed by at most 30 days"
        ):
            await it.claims.accept(Task(id="t1", content="Do it.", not_before=later), "task")
        assert it.taken == (0, 0)
    assert not await store.read(lambda db: find(db, "t1"))
