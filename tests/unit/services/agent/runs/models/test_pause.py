from __future__ import annotations

import asyncio

import pytest

from services.agent.llm.chat import Request
from services.agent.loop.journal import MemoryJournal
from services.agent.runs.admission import Admission
from services.agent.runs.models.pause import Pause, PausedModel
from shared.errors import RunHandedOver, RunLost
from shared.store import Store
from tests.support.model.doubles import ScriptedModel, says
from tests.support.processes.instances import instance


async def test_no_model_is_called_during_a_pause(store: Store) -> None:
    admission = Admission(1)
    pause = Pause(instance(store), admission)
    model = ScriptedModel(says("Done."))
    pause.set(True)
    assert not admission.try_take()
    call = asyncio.create_task(PausedModel(model, pause, MemoryJournal()).complete(Request()))
    await asyncio.sleep(0)
    assert model.seen == []
    pause.set(False)
    assert (await call).text == "Done."
    assert admission.try_take()


async def test_a_call_whose_run_was_lost_meanwhile_is_not_made(store: Store) -> None:
    pause, journal, model = Pause(instance(store), Admission(1)), MemoryJournal(), ScriptedModel()
    pause.set(True)
    call = asyncio.create_task(PausedModel(model, pause, journal).complete(Request()))
    await asyncio.sleep(0)
    journal.lost = True
    pause.set(False)
    with pytest.raises(RunLost):
        await call
    assert model.seen == []


async def test_a_pause_that_begins_again_at_once_holds(store: Store) -> None:
    pause, model = Pause(instance(store), Admission(1)), ScriptedModel(says("Done."))
    pause.set(True)
    call = asyncio.create_task(PausedModel(model, pause, MemoryJournal()).complete(Request()))
    await asyncio.sleep(0)
    pause.set(False)
    pause.set(True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert model.seen == []
    pause.set(False)
    assert (await call).text == "Done."


async def test_where_the_process_ends_a_call_is_left_to_another_process(store: Store) -> None:
    pause, model = Pause(instance(store), Admission(1), ending=True), ScriptedModel()
    with pytest.raises(RunHandedOver):
        await PausedModel(model, pause, MemoryJournal()).complete(Request())
    assert model.seen == []
