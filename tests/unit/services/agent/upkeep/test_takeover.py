from __future__ import annotations

from services.agent.runs.admission import Admission
from shared.store import Store
from tests.support.processes.instances import instance
from tests.support.processes.upkeep import found, polling, until
from tests.support.stores.fixtures import claimed, owned, request, taken


async def test_due_runs_that_wait_for_a_slot_go_before_new_deliveries(store: Store) -> None:
    own, admission = instance(store), Admission(1)
    slot = admission.try_take()
    await claimed(store, request(), slot=False)

    def kept_for_due_runs() -> bool:
        """Whether no delivery would be accepted if the slot were free; it stays taken."""
        nonlocal slot
        assert slot
        slot.release()
        busy, slot = admission.busy.is_set(), admission.try_take()
        return busy

    async with polling(own, admission):
        await until(kept_for_due_runs)
        assert slot
        slot.release()
        await until(admission.accepting.is_set)
    assert (await found(store)).status == "failed", "without a model"


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
