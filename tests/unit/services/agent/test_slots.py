from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.agent import slots as slots_module
from services.agent.slots import Slots


def counts(slots: Slots) -> tuple[int, int, int]:
    assert slots.vacant.is_set() == bool(slots.free)
    assert slots.full.is_set() != slots.vacant.is_set()
    return slots.free, slots.computing, slots.waiting


def test_a_run_takes_a_slot_and_gives_it_back() -> None:
    slots = Slots(2)
    assert counts(slots) == (2, 0, 0)
    assert slots.try_take()
    assert slots.try_take()
    assert not slots.try_take()
    assert counts(slots) == (0, 2, 0)
    slots.release(computing=True)
    assert counts(slots) == (1, 1, 0)


async def test_a_run_that_only_waits_holds_no_slot() -> None:
    slots = Slots(1)
    slots.try_take()
    slots.pause()
    assert counts(slots) == (1, 0, 1)
    await slots.resume()
    assert counts(slots) == (0, 1, 0)


def test_a_run_that_ends_while_it_waits_gives_back_no_slot_twice() -> None:
    slots = Slots(1)
    slots.try_take()
    slots.pause()
    slots.release(computing=False)
    assert counts(slots) == (1, 0, 0)


async def woken(slots: Slots) -> asyncio.Task[None]:
    """A waiting run that asks for its slot while another one computes."""
    slots.pause()
    assert slots.try_take()
    job = asyncio.create_task(slots.resume())
    await asyncio.sleep(0)
    assert not job.done()
    return job


async def test_a_woken_run_goes_before_any_new_one() -> None:
    slots = Slots(1)
    slots.try_take()
    job = await woken(slots)
    slots.release(computing=True)
    assert not slots.try_take()
    await job
    assert counts(slots) == (0, 1, 0)


async def test_woken_runs_go_on_in_the_order_in_which_they_asked() -> None:
    slots = Slots(1)
    slots.try_take()
    first = await woken(slots)
    slots.pause()  # the slot goes to the first at once
    second = asyncio.create_task(slots.resume())
    await first
    assert not second.done()
    slots.release(computing=True)
    await second
    assert counts(slots) == (0, 1, 0)


async def test_a_woken_run_that_is_cancelled_before_its_turn_takes_nothing() -> None:
    slots = Slots(1)
    slots.try_take()
    job = await woken(slots)
    job.cancel()
    await asyncio.wait([job])
    slots.release(computing=True)
    assert counts(slots) == (1, 0, 1)


async def test_a_woken_run_that_is_cancelled_at_its_turn_passes_the_slot_on() -> None:
    slots = Slots(1)
    slots.try_take()
    job = await woken(slots)
    slots.release(computing=True)
    job.cancel()
    await asyncio.wait([job])
    assert counts(slots) == (1, 0, 1)


async def test_closed_slots_take_nothing_new_and_let_open_runs_go_on() -> None:
    slots = Slots(2)
    slots.try_take()
    slots.pause()
    slots.close()
    assert not slots.try_take()
    assert slots.free == 0
    await slots.resume()
    assert slots.computing == 1


def test_open_runs_are_limited_even_when_all_only_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots_module, "OPEN_RUNS", 2)
    slots = Slots(8)
    for _ in range(2):
        assert slots.try_take()
        slots.pause()
    assert not slots.try_take()
    assert counts(slots) == (0, 0, 2)


def test_a_suspect_takes_its_slot_alone() -> None:
    slots = Slots(8)
    assert slots.try_take_alone()
    assert counts(slots) == (0, 1, 0)
    assert not slots.try_take()
    assert not slots.try_take_alone()


def test_a_suspect_that_waits_for_its_slot_lets_nothing_begin_until_nothing_computes() -> None:
    slots = Slots(8)
    slots.try_take()
    slots.clear(wanted=True)
    assert counts(slots) == (0, 1, 0)
    assert not slots.try_take()
    assert not slots.try_take_alone()
    slots.release(computing=True)
    assert not slots.try_take()
    assert slots.try_take_alone()


@pytest.mark.parametrize("how", [Slots.share, Slots.pause])
def test_a_suspect_that_gets_on_or_waits_is_alone_no_longer(how: Callable[[Slots], None]) -> None:
    slots = Slots(8)
    slots.try_take_alone()
    how(slots)
    assert slots.free == 8 - slots.computing


def test_a_suspect_that_ends_leaves_all_slots() -> None:
    slots = Slots(8)
    slots.try_take_alone()
    slots.release(computing=True)
    assert counts(slots) == (8, 0, 0)


def test_when_no_suspect_waits_any_more_runs_begin_again() -> None:
    slots = Slots(8)
    slots.clear(wanted=True)
    assert not slots.try_take()
    slots.clear(wanted=False)
    assert slots.try_take()


@pytest.mark.parametrize("how", [Slots.share, Slots.close])
async def test_a_woken_run_waits_while_a_suspect_is_alone_or_about_to_be(
    how: Callable[[Slots], None],
) -> None:
    slots = Slots(8)
    slots.try_take()
    slots.pause()
    slots.clear(wanted=True)
    job = asyncio.create_task(slots.resume())
    await asyncio.sleep(0)
    assert not job.done()
    if how is Slots.share:
        assert slots.try_take_alone()
        slots.clear(wanted=False)
        await asyncio.sleep(0)
        assert not job.done()
    how(slots)
    await job


def test_slots_are_idle_while_no_run_is_open() -> None:
    slots = Slots(2)
    assert slots.idle.is_set()
    slots.try_take()
    slots.pause()
    assert not slots.idle.is_set()
    slots.release(computing=False)
    assert slots.idle.is_set()


async def test_the_brake_stops_new_runs_and_keeps_those_that_are_open() -> None:
    slots = Slots(2)
    slots.try_take()
    slots.brake(True)
    assert not slots.try_take()
    assert counts(slots) == (0, 1, 0)
    slots.pause()
    await slots.resume()
    slots.brake(False)
    assert counts(slots) == (1, 1, 0)


def test_a_run_that_only_has_to_end_goes_beyond_the_limit() -> None:
    slots = Slots(1)
    slots.try_take()
    slots.take_beyond()
    assert counts(slots) == (0, 2, 0)
    slots.release(computing=True)
    assert counts(slots) == (0, 1, 0)


def test_a_braked_process_takes_no_suspect() -> None:
    slots = Slots(2)
    slots.brake(True)
    assert not slots.try_take_alone()
    slots.brake(False)
    assert slots.try_take_alone()


def test_a_suspect_stays_alone_when_a_run_that_only_had_to_end_has_left() -> None:
    slots = Slots(2)
    assert slots.try_take_alone()
    slots.take_beyond()
    slots.release(computing=True)
    assert not slots.try_take()
    slots.release(computing=True)
    assert slots.try_take()
