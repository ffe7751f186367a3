from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.agent.runs.admission import Admission, Slot


def counts(admission: Admission) -> tuple[int, int, int]:
    assert admission.accepting.is_set() == bool(admission.free)
    assert admission.busy.is_set() != admission.accepting.is_set()
    assert admission.idle.is_set() == (admission.taken == 0)
    return admission.free, admission.computing, admission.waiting


def taken(admission: Admission) -> Slot:
    slot = admission.try_take()
    assert slot
    return slot


def taken_alone(admission: Admission) -> Slot:
    slot = admission.try_take_alone()
    assert slot
    return slot


def test_a_run_takes_a_slot_and_gives_it_back() -> None:
    admission = Admission(2)
    assert counts(admission) == (2, 0, 0)
    slot, _ = taken(admission), taken(admission)
    assert not admission.try_take()
    assert counts(admission) == (0, 2, 0)
    slot.release()
    assert counts(admission) == (1, 1, 0)


def test_a_slot_is_given_back_once_however_often_it_is_released() -> None:
    admission = Admission(2)
    slot, _ = taken(admission), taken(admission)
    for _ in range(2):
        slot.release()
        slot.pause()
    assert counts(admission) == (1, 1, 0)


async def test_a_released_slot_takes_nothing_any_more() -> None:
    admission = Admission(2)
    slot = taken(admission)
    slot.pause()
    slot.release()
    await slot.resume()
    assert counts(admission) == (2, 0, 0)


async def test_a_run_that_only_waits_holds_no_slot() -> None:
    admission = Admission(1)
    slot = taken(admission)
    slot.pause()
    assert counts(admission) == (1, 0, 1)
    await slot.resume()
    assert counts(admission) == (0, 1, 0)


def test_a_run_that_ends_while_it_waits_gives_back_no_slot_twice() -> None:
    admission = Admission(1)
    slot = taken(admission)
    slot.pause()
    slot.release()
    assert counts(admission) == (1, 0, 0)


async def resuming(admission: Admission) -> tuple[Slot, Slot, asyncio.Task[None]]:
    """A waiting run that asks for its slot, and the other one, which computes."""
    slot = taken(admission)
    slot.pause()
    other = taken(admission)
    job = asyncio.create_task(slot.resume())
    await asyncio.sleep(0)
    assert not job.done()
    return slot, other, job


async def test_a_resumed_run_goes_before_any_new_one() -> None:
    admission = Admission(1)
    _, other, job = await resuming(admission)
    other.release()
    assert not admission.try_take()
    await job
    assert counts(admission) == (0, 1, 0)


async def test_resumed_runs_continue_in_the_order_in_which_they_asked() -> None:
    admission = Admission(1)
    slot, other, first = await resuming(admission)
    other.pause()  # its slot goes to the first at once
    second = asyncio.create_task(other.resume())
    await first
    assert not second.done()
    slot.release()
    await second
    assert counts(admission) == (0, 1, 0)


async def test_a_resumed_run_that_is_cancelled_before_its_turn_takes_nothing() -> None:
    admission = Admission(1)
    _, other, job = await resuming(admission)
    job.cancel()
    await asyncio.wait([job])
    other.release()
    assert counts(admission) == (1, 0, 1)


async def test_a_resumed_run_that_is_cancelled_at_its_turn_passes_the_slot_on() -> None:
    admission = Admission(1)
    slot, other, job = await resuming(admission)
    other.release()
    job.cancel()
    await asyncio.wait([job])
    assert counts(admission) == (1, 0, 1)
    slot.release()
    assert counts(admission) == (1, 0, 0)


async def test_a_run_that_is_over_before_its_turn_leaves_it_to_the_next() -> None:
    admission = Admission(1)
    slot, other, job = await resuming(admission)
    slot.release()
    other.release()
    await job
    assert counts(admission) == (1, 0, 0)


async def test_a_closed_process_starts_no_run_and_lets_open_runs_continue() -> None:
    admission = Admission(2)
    slot = taken(admission)
    slot.pause()
    admission.close()
    assert not admission.try_take()
    assert admission.free == 0
    await slot.resume()
    assert admission.computing == 1


def test_open_runs_are_limited_even_when_all_only_wait() -> None:
    admission = Admission(8, open_runs=2)
    for _ in range(2):
        taken(admission).pause()
    assert not admission.try_take()
    assert counts(admission) == (0, 0, 2)


def test_a_suspect_takes_its_slot_alone() -> None:
    admission = Admission(8)
    taken_alone(admission)
    assert counts(admission) == (0, 1, 0)
    assert not admission.try_take()
    assert not admission.try_take_alone()


def test_a_suspect_that_waits_for_its_slot_lets_nothing_begin_until_nothing_computes() -> None:
    admission = Admission(8)
    slot = taken(admission)
    admission.expect_suspect(True)
    assert counts(admission) == (0, 1, 0)
    assert not admission.try_take()
    assert not admission.try_take_alone()
    slot.release()
    assert not admission.try_take()
    assert admission.try_take_alone()


@pytest.mark.parametrize("how", [Slot.share, Slot.pause])
def test_a_suspect_that_finishes_a_step_or_waits_is_alone_no_longer(
    how: Callable[[Slot], None],
) -> None:
    admission = Admission(8)
    how(taken_alone(admission))
    assert admission.free == 8 - admission.computing


@pytest.mark.parametrize("how", [Slot.share, Slot.pause, Slot.release])
def test_a_suspect_stays_alone_whatever_another_run_does(how: Callable[[Slot], None]) -> None:
    """Only runs that have to end compute beside it."""
    admission = Admission(8)
    suspect = taken_alone(admission)
    how(admission.take_beyond())
    assert not admission.try_take()
    suspect.release()
    assert admission.try_take()


def test_a_suspect_that_ends_leaves_all_slots() -> None:
    admission = Admission(8)
    taken_alone(admission).release()
    assert counts(admission) == (8, 0, 0)


def test_when_no_suspect_waits_any_more_runs_begin_again() -> None:
    admission = Admission(8)
    admission.expect_suspect(True)
    assert not admission.try_take()
    admission.expect_suspect(False)
    assert admission.try_take()


@pytest.mark.parametrize("how", ["share", "close"])
async def test_a_resumed_run_waits_while_a_suspect_is_alone_or_about_to_be(how: str) -> None:
    admission = Admission(8)
    slot = taken(admission)
    slot.pause()
    admission.expect_suspect(True)
    job = asyncio.create_task(slot.resume())
    await asyncio.sleep(0)
    assert not job.done()
    if how == "share":
        suspect = taken_alone(admission)
        admission.expect_suspect(False)
        await asyncio.sleep(0)
        assert not job.done()
        suspect.share()
    else:
        admission.close()
    await job


def test_a_process_is_idle_while_no_run_is_open() -> None:
    admission = Admission(2)
    assert admission.idle.is_set()
    slot = taken(admission)
    slot.pause()
    assert not admission.idle.is_set()
    slot.release()
    assert admission.idle.is_set()


async def test_a_pause_stops_new_runs_and_keeps_those_that_are_open() -> None:
    admission = Admission(2)
    slot = taken(admission)
    admission.pause(True)
    assert not admission.try_take()
    assert counts(admission) == (0, 1, 0)
    slot.pause()
    await slot.resume()
    admission.pause(False)
    assert counts(admission) == (1, 1, 0)


def test_a_run_that_only_has_to_end_goes_beyond_the_limit() -> None:
    admission = Admission(1)
    slot = taken(admission)
    admission.take_beyond()
    assert counts(admission) == (0, 2, 0)
    slot.release()
    assert counts(admission) == (0, 1, 0)


def test_a_paused_process_takes_no_suspect() -> None:
    admission = Admission(2)
    admission.pause(True)
    assert not admission.try_take_alone()
    admission.pause(False)
    assert admission.try_take_alone()


def test_new_deliveries_wait_for_a_due_run_that_had_no_slot() -> None:
    admission = Admission(1)
    slot = taken(admission)
    admission.note_due(waits=True)
    slot.release()
    assert admission.busy.is_set()
    assert admission.wants_due.is_set()
    assert admission.try_take(), "the slot is the due run's"


def test_new_deliveries_are_accepted_again_once_no_due_run_waits() -> None:
    admission = Admission(1)
    admission.note_due(waits=True)
    admission.begin_poll()
    assert admission.busy.is_set()
    admission.end_poll(waits=False)
    assert admission.accepting.is_set()
    assert not admission.wants_due.is_set()


def test_due_runs_that_a_poll_has_no_slot_for_wait_for_the_next_free_one() -> None:
    admission = Admission(1)
    slot = taken(admission)
    admission.begin_poll()
    admission.end_poll(waits=True)
    assert not admission.wants_due.is_set()
    slot.release()
    assert admission.wants_due.is_set()
    assert admission.busy.is_set()


def test_a_run_that_may_be_due_is_polled_for_and_holds_up_no_delivery() -> None:
    admission = Admission(1)
    admission.note_due(waits=False)
    assert admission.accepting.is_set()
    assert admission.wants_due.is_set()
    admission.begin_poll()
    assert not admission.wants_due.is_set()


@pytest.mark.parametrize("waits", [False, True])
def test_a_run_that_becomes_due_during_a_poll_causes_another(waits: bool) -> None:
    admission = Admission(1)
    admission.begin_poll()
    admission.note_due(waits=waits)
    admission.end_poll(waits=False)
    assert admission.wants_due.is_set()
    assert admission.accepting.is_set()


def _pause(admission: Admission) -> None:
    admission.pause(True)


def _expect_suspect(admission: Admission) -> None:
    admission.expect_suspect(True)


@pytest.mark.parametrize("stop", [_pause, _expect_suspect, Admission.close, taken_alone])
def test_no_run_is_polled_for_while_none_may_start(stop: Callable[[Admission], object]) -> None:
    admission = Admission(8)
    stop(admission)
    admission.note_due(waits=True)
    assert not admission.wants_due.is_set()
    assert admission.busy.is_set()


@pytest.mark.parametrize("stop", [_pause, _expect_suspect, Admission.close, taken_alone])
def test_a_run_that_only_has_to_end_starts_in_every_state(
    stop: Callable[[Admission], object],
) -> None:
    admission = Admission(8)
    stop(admission)
    before = admission.taken
    admission.take_beyond().release()
    assert admission.taken == before


def test_a_closed_process_takes_no_suspect() -> None:
    admission = Admission(8)
    admission.close()
    assert not admission.try_take_alone()
