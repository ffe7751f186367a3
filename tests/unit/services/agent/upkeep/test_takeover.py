from __future__ import annotations

from dataclasses import replace

from services.agent.runs.admission import Admission, Slot
from shared.store import Store
from tests.support.processes.instances import instance
from tests.support.processes.upkeep import found, polling, until, until_failed
from tests.support.stores.steps import claimed, owned, request, taken


def accepts_deliveries(admission: Admission, held: list[Slot]) -> bool:
    """Whether a delivery would be accepted if the held slot were free; it stays held."""
    held.pop().release()
    accepting, slot = admission.accepting.is_set(), admission.try_take()
    assert slot
    held.append(slot)
    return accepting


async def test_due_runs_that_wait_for_a_slot_go_before_new_deliveries(store: Store) -> None:
    own, admission = instance(store), Admission(1)
    held = [admission.take_beyond()]
    await claimed(store, request(), slot=False)
    async with polling(own, admission):
        await until(lambda: not accepts_deliveries(admission, held))
        held.pop().release()
        await until(admission.accepting.is_set)
    assert (await found(store)).status == "failed", "without a model"


async def test_new_deliveries_go_before_background_runs_which_get_the_slots_that_are_left(
    store: Store,
) -> None:
    own, admission = instance(store), Admission(1)
    held = [admission.take_beyond()]
    await claimed(store, replace(request(), priority="background"), slot=False)
    admission.note_due(waits=True)  # until a poll has found what waits
    assert not accepts_deliveries(admission, held)
    async with polling(own, admission):
        await until(lambda: accepts_deliveries(admission, held))
        held.pop().release()
        await until_failed(store)  # without a model; the slot itself is taken too briefly to see
        await until(admission.accepting.is_set)


async def test_a_suspect_is_taken_once_nothing_computes_and_nothing_begins_before_it(
    store: Store,
) -> None:
    await owned(store, instance="alice.7")
    await taken(store, "alice.8", {"alice.7"})  # neither has a row: both are dead
    own, admission = instance(store), Admission(8)
    slot = admission.try_take()
    assert slot
    async with polling(own, admission):
        await until(lambda: not admission.free)
        assert admission.computing == 1
        assert (await found(store)).status == "running"
        slot.release()
        await until(lambda: admission.free == 8)
    assert (await found(store)).attempts == 2
    assert (await found(store)).status == "failed", "without a model"
