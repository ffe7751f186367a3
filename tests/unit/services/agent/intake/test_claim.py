"""Whatever becomes of a claim, the slot that was taken for it is a run's, or free again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from services.agent.intake.claim import Intake, Kind
from services.agent.runs.admission import Slots
from services.agent.runs.open_runs import Runs
from services.agent.upkeep.commands import Orders
from services.agent.upkeep.heartbeat import Sweeper
from shared.contract.messages import Task, Trigger
from shared.definitions.model import Definition, Limits
from shared.errors import BadMessage, StoreError
from shared.process.stopping import Stopping
from shared.store import Store
from shared.store.queries.reports import find, texts
from shared.store.runs.claim import freeze
from tests.support.processes.instances import instance, runs_of

TASK = Task(id="t1", content="Do it.")


@dataclass
class Room:
    """A process without a broker, with one slot, whose runs call no model."""

    intake: Intake
    slots: Slots
    runs: Runs

    @property
    def taken(self) -> tuple[int, int]:
        return self.slots.taken, self.runs.open


@asynccontextmanager
async def room(store: Store, definition: Definition | None = None) -> AsyncIterator[Room]:
    own, slots = instance(store, definition), Slots(1)
    await store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    async with asyncio.timeout(30), asyncio.TaskGroup() as jobs:
        runs = runs_of(own, slots, jobs)
        execution, relay = runs.execution, runs.execution.endings.relay
        pause, scopes = execution.parts.pause, execution.scopes
        orders = Orders(own, slots, runs, pause, scopes, Stopping(), jobs)
        sweeper = Sweeper(own, slots, runs, relay, orders)
        yield Room(Intake(own, slots, runs, relay, sweeper), slots, runs)
        await slots.idle.wait()


async def test_a_claimed_task_has_a_slot_until_it_has_ended(store: Store) -> None:
    async with room(store) as it:
        await it.intake.accept(TASK, "task")
        assert it.taken == (1, 1)
    assert it.taken == (0, 0)


async def test_an_id_that_was_used_for_other_content_takes_no_slot(store: Store) -> None:
    async with room(store) as it:
        await it.intake.accept(TASK, "task")
        await it.slots.idle.wait()
        with pytest.raises(BadMessage):
            await it.intake.accept(Task(id="t1", content="Do another thing."), "task")
        assert it.taken == (0, 0)


async def test_a_repeated_task_takes_no_slot_beside_its_run(store: Store) -> None:
    async with room(store) as it:
        await asyncio.gather(*(it.intake.accept(TASK, "task") for _ in range(3)))
        assert it.taken == (1, 1)
        await it.slots.idle.wait()
        await it.intake.accept(TASK, "task")
        assert it.taken == (0, 0)


async def test_a_claim_that_the_store_refuses_takes_no_slot(store: Store) -> None:
    trigger = "CREATE TRIGGER refuse BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'no'); END"
    async with room(store) as it:
        await store.write("", lambda db: db.execute(text(trigger)).close())
        with pytest.raises(StoreError):
            await it.intake.accept(TASK, "task")
        assert it.taken == (0, 0)


async def test_a_claim_that_is_cancelled_takes_no_slot(store: Store) -> None:
    async with room(store) as it:
        claim = asyncio.create_task(it.intake.accept(TASK, "task"))
        await asyncio.sleep(0)
        assert it.slots.taken == 1
        claim.cancel()
        await asyncio.wait([claim])
        assert it.taken == (0, 0)


async def test_a_task_that_is_one_too_many_ends_refused_and_takes_no_slot(store: Store) -> None:
    capped = Definition(name="alice", limits=Limits(caused_per_minute=1))
    async with room(store, capped) as it:
        await it.intake.accept(TASK, "task", cause="bob")
        await it.slots.idle.wait()
        await it.intake.accept(Task(id="t2", content="Go on."), "task", cause="bob")
        assert it.taken == (0, 0)
    (row,) = await store.read(lambda db: find(db, "t2"))
    assert row.status == "refused"
    found = await store.read(lambda db: texts(db, row.run_id))
    assert "runs of bob have caused more than 1 tasks" in (found.response or "")


@pytest.mark.parametrize("kind", ["task", "trigger"])
async def test_an_id_that_an_agent_gives_itself_is_refused_from_outside(
    store: Store, kind: Kind
) -> None:
    """Taken first, it would keep the agent from its own tick, or from reacting to a peer."""
    async with room(store) as it:
        with pytest.raises(BadMessage, match="begin with '@' are the agent's own"):
            await it.intake.accept(Trigger(id="@t1"), kind)
    assert not await store.read(lambda db: find(db, "@t1"))


@pytest.mark.parametrize("kind", ["reaction", "tick"])
async def test_an_agent_begins_under_its_own_ids(store: Store, kind: Kind) -> None:
    async with room(store) as it:
        await it.intake.accept(Trigger(id="@t1"), kind)
    [row] = await store.read(lambda db: find(db, "@t1"))
    assert row.kind == kind
