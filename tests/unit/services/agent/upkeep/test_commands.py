from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

import pytest
from sqlalchemy import func, select, update

from services.agent.runs.admission import Admission, Slot
from services.agent.runs.models.pause import Pause
from services.agent.upkeep.commands import Commands
from shared.contract.messages import run_id
from shared.process.stopping import Stopping
from shared.store import Store
from shared.store.processes import pauses, shutdowns
from shared.store.queries.reports import RunFilter, newest
from shared.store.runs import cancels
from shared.store.runs.claim import freeze
from shared.store.runs.run import Run
from shared.store.runs.takeover import hand_over
from shared.store.schema import cancels as rows
from shared.store.schema import now_s, runs
from tests.support.processes.instances import instance, runs_of
from tests.support.stores.fixtures import BOTH_ESSENTIAL as STORES
from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests
from tests.support.stores.steps import claimed, request

__all__ = ["STORES", "pytest_generate_tests"]

LONG_S = 600.0


@dataclass
class Replica:
    """A process without a broker, none of whose slots is free."""

    store: Store
    commands: Commands
    slot: Slot

    async def claim(self, task_id: str, *, slot: bool) -> Run | None:
        asked = replace(
            request(task_id, requester=None),
            definition=self.commands.instance.snapshot.digest,
        )
        return (await claimed(self.store, asked, slot=slot)).run

    async def ended(self) -> dict[str, str]:
        """All that have ended, and how, once no run is open."""
        self.slot.release()
        async with asyncio.timeout(10):
            await self.commands.admission.idle.wait()
        rows = await self.store.read(lambda db: newest(db, RunFilter(agent="alice"), 100))
        return {row.task_id: row.status for row in rows if row.ended_at}


@asynccontextmanager
async def replica(store: Store) -> AsyncIterator[Replica]:
    own, admission = instance(store), Admission(1)
    await store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    async with asyncio.TaskGroup() as jobs:
        open_runs = runs_of(own, admission, jobs)
        pause, scopes = Pause(own, admission), open_runs.execution.scopes
        slot = admission.try_take()
        assert slot
        yield Replica(
            store, Commands(own, admission, open_runs, pause, scopes, Stopping(), jobs), slot
        )


async def kept(store: Store) -> int:
    return await store.read(lambda db: db.execute(select(func.count(rows.c.run_id))).scalar_one())


async def ask(store: Store, task_id: str) -> None:
    asked = partial(cancels.request, agent="alice", task_id=task_id)
    await store.write(run_id("alice", task_id), asked)


@pytest.mark.parametrize("paused", [False, True])
async def test_a_run_that_only_has_to_end_needs_no_slot(store: Store, paused: bool) -> None:
    async with replica(store) as it:
        if paused:
            await store.write("", partial(pauses.pause, agent="alice"))
        await it.claim("due", slot=False)
        await it.claim("wanted", slot=False)
        run = await it.claim("put-off", slot=True)
        assert run is not None
        await store.write(run.run_id, lambda db: hand_over(db, run, delay_s=LONG_S))
        await ask(store, "due")
        await ask(store, "put-off")
        await it.commands.poll()
        assert await it.ended() == {"due": "cancelled", "put-off": "cancelled"}


async def test_a_due_run_past_its_deadline_is_answered_though_no_slot_is_free(
    store: Store,
) -> None:
    async with replica(store) as it:
        await it.claim("late", slot=False)
        await it.claim("early", slot=False)
        late = update(runs).where(runs.c.task_id == "late").values(deadline_at=now_s())
        await store.write("", lambda db: db.execute(late).close())
        await it.commands.poll()
        assert await it.ended() == {"late": "timeout"}


async def test_cancels_by_message_are_kept_and_wake_the_one_poll_that_obeys_them(
    store: Store,
) -> None:
    async with replica(store) as it:
        await it.claim("due", slot=False)
        for task_id in ("due", "due", "later"):
            it.commands.cancel(task_id)
        async with asyncio.timeout(10):
            await it.commands.arrived.wait()
            while await kept(store) < 2:  # noqa: ASYNC110 - a store sends no events
                await asyncio.sleep(0.01)
        assert it.commands.admission.taken == 1, "only the poll begins anything"
        await it.commands.poll()
        assert await it.ended() == {"due": "cancelled"}
    async with replica(store) as it:
        run = await it.claim("later", slot=True)
        assert run is not None
        assert run.cancelled


async def test_a_pause_is_set_and_lifted(store: Store) -> None:
    async with replica(store) as it:
        for command, on in ((pauses.pause, True), (pauses.unpause, False)):
            await store.write("", partial(command, agent="all"))
            await it.commands.poll()
            assert it.commands.pause.on is on


async def test_a_shutdown_is_obeyed_by_the_instance_that_it_names(store: Store) -> None:
    async with replica(store) as it:
        await it.commands.poll()
        assert it.commands.stopping.mode is None
        for mode in ("drain", "stop"):
            await store.write("", partial(shutdowns.request, agent="alice", mode=mode))
            await it.commands.poll()
            assert it.commands.stopping.mode == mode
