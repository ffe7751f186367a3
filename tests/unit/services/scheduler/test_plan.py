from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.plan import MOST_MADE_UP, Scheduled, scheduled
from shared.contract.messages import Trigger, decode
from shared.definitions.model import Definition
from shared.definitions.schedules.schedule import Schedule
from shared.store.messages.ticks import ScheduleState, TickOutcome

TEN = datetime(2026, 1, 1, 10, tzinfo=UTC)


def hourly(**policies: str) -> Scheduled:
    fields = {"name": "plan", "prompt": "Plan.", "every": "1h"} | policies
    return Scheduled("alice", Schedule.model_validate(fields))


def outcomes(
    one: Scheduled, last: datetime, late: timedelta = timedelta(), *, busy: bool = False
) -> list[TickOutcome]:
    chosen = one.choose(ScheduleState(now=TEN + late, last=last, busy=busy))
    return [tick.outcome for tick in chosen]


SENDING, SKIPPED, MISSED = TickOutcome.SENDING, TickOutcome.SKIPPED, TickOutcome.MISSED
LATE = timedelta(minutes=5)


def test_no_tick_is_decided_before_its_time() -> None:
    assert outcomes(hourly(), last=TEN) == []


def test_a_tick_is_a_trigger_under_its_own_id() -> None:
    (tick,) = hourly().choose(ScheduleState(TEN, TEN - timedelta(hours=1), busy=False))
    trigger = decode((tick.message or "").encode())
    assert isinstance(trigger, Trigger)
    assert tick.tick_id == "alice.plan@2026-01-01T10:00:00Z"
    assert trigger.id == trigger.root_id == tick.message_id
    assert (trigger.content, trigger.schedule, trigger.nominal_at) == ("Plan.", "plan", TEN)


def test_the_longest_names_still_make_an_id() -> None:
    name = "a" * 40
    one = Scheduled(name, Schedule.model_validate({"name": name, "prompt": "p", "every": "1h"}))
    (tick,) = one.choose(ScheduleState(TEN, TEN - timedelta(hours=1), busy=False))
    assert Trigger(id=tick.message_id).id == tick.message_id


def test_the_id_of_a_tick_cannot_be_known_before_it_is_sent() -> None:
    before = ScheduleState(TEN, TEN - timedelta(hours=1), busy=False)
    ((one,), (other,)) = hourly().choose(before), hourly().choose(before)
    assert one.tick_id == other.tick_id
    assert one.message_id != other.message_id


def test_while_the_one_before_is_open_a_tick_is_skipped_or_queued() -> None:
    before = TEN - timedelta(hours=1)
    assert outcomes(hourly(), before, busy=True) == [SKIPPED]
    assert outcomes(hourly(overlap="queue"), before, busy=True) == [SENDING]


@pytest.mark.parametrize(
    ("missed", "late", "expected"),
    [
        ("last", LATE, [MISSED, MISSED, SENDING]),
        ("none", LATE, [MISSED, MISSED, MISSED]),
        ("none", timedelta(seconds=50), [MISSED, MISSED, SENDING]),
        ("all", LATE, [SENDING, SENDING, SENDING]),
    ],
)
def test_missed_ticks_are_sent_as_the_schedule_asks(
    missed: str, late: timedelta, expected: list[TickOutcome]
) -> None:
    assert outcomes(hourly(missed=missed), TEN - timedelta(hours=3), late) == expected


def test_missed_all_sends_a_hundred_ticks_and_logs_that_there_were_more() -> None:
    found = outcomes(hourly(missed="all"), TEN - timedelta(days=365))
    assert found == [MISSED] + [SENDING] * MOST_MADE_UP


def test_ticks_made_up_for_do_not_skip_each_other() -> None:
    found = outcomes(hourly(missed="all"), TEN - timedelta(hours=2), busy=True)
    assert found == [SENDING, SENDING]


def test_every_schedule_of_every_agent_is_known() -> None:
    alice = Definition(name="alice", schedule=(hourly().schedule,))
    assert scheduled({"alice": alice, "bob": Definition(name="bob")}) == (hourly(),)
