from __future__ import annotations

import asyncio

import pytest

from services.agent.loop.journal import MemoryJournal
from services.agent.runs.admission import Slots
from services.agent.runs.pause import Brake, Braked
from shared.errors import RunHandedOver, RunLost
from shared.store import Store
from tests.support.model.doubles import ScriptedModel, says
from tests.support.processes.instances import instance


async def test_no_model_is_called_while_the_brake_is_on(store: Store) -> None:
    slots = Slots(1)
    brake = Brake(instance(store), slots)
    model = ScriptedModel(says("Done."))
    brake.set(True)
    assert not slots.try_take()
    call = asyncio.create_task(Braked(model, brake, MemoryJournal()).complete((), ()))
    await asyncio.sleep(0)
    assert model.seen == []
    brake.set(False)
    assert (await call).text == "Done."
    assert slots.try_take()


async def test_a_call_whose_run_was_lost_meanwhile_is_not_made(store: Store) -> None:
    brake, journal, model = Brake(instance(store), Slots(1)), MemoryJournal(), ScriptedModel()
    brake.set(True)
    call = asyncio.create_task(Braked(model, brake, journal).complete((), ()))
    await asyncio.sleep(0)
    journal.lost = True
    brake.set(False)
    with pytest.raises(RunLost):
        await call
    assert model.seen == []


async def test_a_brake_that_is_put_on_again_at_once_holds(store: Store) -> None:
    brake, model = Brake(instance(store), Slots(1)), ScriptedModel(says("Done."))
    brake.set(True)
    call = asyncio.create_task(Braked(model, brake, MemoryJournal()).complete((), ()))
    await asyncio.sleep(0)
    brake.set(False)
    brake.set(True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.seen == []
    brake.set(False)
    assert (await call).text == "Done."


async def test_where_the_process_ends_a_call_is_left_to_another(store: Store) -> None:
    brake, model = Brake(instance(store), Slots(1), ending=True), ScriptedModel()
    with pytest.raises(RunHandedOver):
        await Braked(model, brake, MemoryJournal()).complete((), ())
    assert model.seen == []
