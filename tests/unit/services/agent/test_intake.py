from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.agent.brake import Brake
from services.agent.cancelling import Scopes
from services.agent.intake import Intake, Kind
from services.agent.orders import Orders
from services.agent.relay import Relay
from services.agent.slots import Slots
from services.agent.sweeper import Sweeper
from shared.errors import BadMessage
from shared.messages import Trigger
from shared.process import Stopping
from shared.store import Store
from shared.store.claims import freeze
from shared.store.readings import find
from tests.instances import instance, runs_of


@asynccontextmanager
async def busy(store: Store) -> AsyncIterator[Intake]:
    """The intake of a process whose slots are all at work."""
    own, slots = instance(store), Slots(0)
    await store.write("", lambda db: freeze(db, own.snapshot.digest, own.snapshot.body))
    async with asyncio.TaskGroup() as jobs:
        runs, relay = runs_of(own, slots, jobs), Relay(own, jobs)
        orders = Orders(own, slots, runs, Brake(own, slots), Scopes(), Stopping(), jobs)
        yield Intake(own, slots, runs, relay, Sweeper(own, slots, runs, relay, orders))


@pytest.mark.parametrize("kind", ["task", "trigger"])
async def test_an_id_that_an_agent_gives_itself_is_refused_from_outside(
    store: Store, kind: Kind
) -> None:
    """Taken first, it would keep the agent from its own tick, or from reacting to a peer."""
    async with busy(store) as intake:
        with pytest.raises(BadMessage, match="begin with '@' are the agent's own"):
            await intake.accept(Trigger(id="@t1"), kind)
    assert not await store.read(lambda db: find(db, "@t1"))


@pytest.mark.parametrize("kind", ["reaction", "tick"])
async def test_an_agent_begins_under_its_own_ids(store: Store, kind: Kind) -> None:
    async with busy(store) as intake:
        await intake.accept(Trigger(id="@t1"), kind)
    [row] = await store.read(lambda db: find(db, "@t1"))
    assert (row.kind, row.status) == (kind, "due")
