from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.agent.runs import admission as slots_module
from services.agent.runs.admission import Slot, Slots


def counts(slots: Slots) -> tuple[int, int, int]:
    assert slots.vacant.is_set() == bool(slots.free)
    assert slots.full.is_set() != slots.vacant.is_set()
    assert slots.idle.is_set() == (slots.taken == 0)
    return slots.free, slots.computing, slots.waiting


def taken(slots: Slots) -> Slot:
    slot = slots.try_take()
    assert slot
    return slot


def taken_alone(slots: Slots) -> Slot:
    slot = slots.try_take_alone()
    assert slot
    return slot


def test_a_run_takes_a_slot_and_gives_it_back() -> None:
    slots = Slots(2)
    assert counts(slots) == (2, 0, 0)
    slot, _ = taken(slots), taken(slots)
    assert not slots.try_take()
    assert counts(slots) == (0, 2, 0)
    slot.release()
    assert counts(slots) == (1, 1, 0)


def test_a_slot_is_given_back_once_however_often_it_is_released() -> None:
    slots = Slots(2)
    slot, _ = taken(slots), taken(slots)
    for _ in range(2):
        slot.release()
        slot.pause()
    assert counts(slots) == (1, 1, 0)


async def test_a_released_slot_takes_nothing_any_more() -> None:
    slots = Slots(2)
    slot = taken(slots)
    slot.pause()
    slot.release()
    await slot.resume()
    assert counts(slots) == (2, 0, 0)


async def test_a_run_that_only_waits_holds_no_slot() -> None:
    slots = Slots(1)
    slot = taken(slots)
    slot.pause()
    assert counts(slots) == (1, 0, 1)
    await slot.resume()
    assert counts(slots) == (0, 1, 0)


def test_a_run_that_ends_while_it_waits_gives_back_no_slot_twice() -> None:
    slots = Slots(1)
    slot = taken(slots)
    slot.pause()
    slot.release()
    assert counts(slots) == (1, 0, 0)


async def woken(slots: Slots) -> tuple[Slot, Slot, asyncio.Task[None]]:
    """A waiting run that asks for its slot, and the other one, which computes."""
    slot = taken(slots)
    slot.pause()
    other = taken(slots)
    job = asyncio.create_task(slot.resume())
    await asyncio.sleep(0)
    assert not job.done()
    return slot, other, job


async def test_a_woken_run_goes_before_any_new_one() -> None:
    slots = Slots(1)
    _, other, job = await woken(slots)
    other.release()
    assert not slots.try_take()
    await job
    assert counts(slots) == (0, 1, 0)


async def test_woken_runs_go_on_in_the_order_in_which_they_asked() -> None:
    slots = Slots(1)
    slot, other, first = await woken(slots)
    other.pause()  # its slot goes to the first at once
    second = asyncio.create_task(other.resume())
    await first
    assert not second.done()
    slot.release()
    await second
    assert counts(slots) == (0, 1, 0)


async def test_a_woken_run_that_is_cancelled_before_its_turn_takes_nothing() -> None:
    slots = Slots(1)
    _, other, job = await woken(slots)
    job.cancel()
    await asyncio.wait([job])
    other.release()
    assert counts(slots) == (1, 0, 1)


async def test_a_woken_run_that_is_cancelled_at_its_turn_passes_the_slot_on() -> None:
    slots = Slots(1)
    slot, other, job = await woken(slots)
    other.release()
    job.cancel()
    await asyncio.wait([job])
    assert counts(slots) == (1, 0, 1)
    slot.release()
    assert counts(slots) == (1, 0, 0)


async def test_a_run_that_is_over_before_its_turn_leaves_it_to_the_next() -> None:
    slots = Slots(1)
    slot, other, job = await woken(slots)
    slot.release()
    other.release()
    await job
    assert counts(slots) == (1, 0, 0)


async def test_closed_slots_take_nothing_new_and_let_open_runs_go_on() -> None:
    slots = Slots(2)
    slot = taken(slots)
    slot.pause()
    slots.close()
    assert not slots.try_take()
    assert slots.free == 0
    await slot.resume()
    assert slots.computing == 1


def test_open_runs_are_limited_even_when_all_only_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "OPEN_RUNS", 2)
    slots = Slots(8)
    for _ in range(2):
        taken(slots).pause()
    assert not slots.try_take()
    assert counts(slots) == (0, 0, 2)


def test_a_suspect_takes_its_slot_alone() -> None:
    slots = Slots(8)
    taken_alone(slots)
    assert counts(slots) == (0, 1, 0)
    assert not slots.try_take()
    assert not slots.try_take_alone()


def test_a_suspect_that_waits_for_its_slot_lets_nothing_begin_until_nothing_computes() -> None:
    slots = Slots(8)
    slot = taken(slots)
    slots.clear(wanted=True)
    assert counts(slots) == (0, 1, 0)
    assert not slots.try_take()
    assert not slots.try_take_alone()
    slot.release()
    assert not slots.try_take()
    assert slots.try_take_alone()


@pytest.mark.parametrize("how", [Slot.share, Slot.pause])
def test_a_suspect_that_gets_on_or_waits_is_alone_no_longer(how: Callable[[Slot], None]) -> None:
    slots = Slots(8)
    how(taken_alone(slots))
    assert slots.free == 8 - slots.computing


@pytest.mark.parametrize("how", [Slot.share, Slot.pause, Slot.release])
def test_a_suspect_stays_alone_whatever_another_run_does(how: Callable[[Slot], None]) -> None:
    """Besides it only runs compute that have to end."""
    slots = Slots(8)
    suspect = taken_alone(slots)
    how(slots.take_beyond())
    assert not slots.try_take()
    suspect.release()
    assert slots.try_take()


def test_a_suspect_that_ends_leaves_all_slots() -> None:
    slots = Slots(8)
    taken_alone(slots).release()
    assert counts(slots) == (8, 0, 0)


def test_when_no_suspect_waits_any_more_runs_begin_again() -> None:
    slots = Slots(8)
    slots.clear(wanted=True)
    assert not slots.try_take()
    slots.clear(wanted=False)
    assert slots.try_take()


@pytest.mark.parametrize("how", ["share", "close"])
async def test_a_woken_run_waits_while_a_suspect_is_alone_or_about_to_be(how: str) -> None:
    slots = Slots(8)
    slot = taken(slots)
    slot.pause()
    slots.clear(wanted=True)
    job = asyncio.create_task(slot.resume())
    await asyncio.sleep(0)
    assert not job.done()
    if how == "share":
        suspect = taken_alone(slots)
        slots.clear(wanted=False)
        await asyncio.sleep(0)
        assert not job.done()
        suspect.share()
    else:
        slots.close()
    await job


def test_slots_are_idle_while_no_run_is_open() -> None:
    slots = Slots(2)
    assert slots.idle.is_set()
    slot = taken(slots)
    slot.pause()
    assert not slots.idle.is_set()
    slot.release()
    assert slots.idle.is_set()


async def test_the_brake_stops_new_runs_and_keeps_those_that_are_open() -> None:
    slots = Slots(2)
    slot = taken(slots)
    slots.brake(True)
    assert not slots.try_take()
    assert counts(slots) == (0, 1, 0)
    slot.pause()
    await slot.resume()
    slots.brake(False)
    assert counts(slots) == (1, 1, 0)


def test_a_run_that_only_has_to_end_goes_beyond_the_limit() -> None:
    slots = Slots(1)
    slot = taken(slots)
    slots.take_beyond()
    assert counts(slots) == (0, 2, 0)
    slot.release()
    assert counts(slots) == (0, 1, 0)


def test_a_braked_process_takes_no_suspect() -> None:
    slots = Slots(2)
    slots.brake(True)
    assert not slots.try_take_alone()
    slots.brake(False)
    assert slots.try_take_alone()
