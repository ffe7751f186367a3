from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from shared.definitions.schedules.schedule import Schedule
from shared.definitions.schedules.times import following, newest


def every(length: str) -> Schedule:
    return Schedule.model_validate({"name": "s", "prompt": "p", "every": length})


def cron(line: str, timezone: str = "Europe/London") -> Schedule:
    return Schedule(name="s", prompt="p", cron=line, timezone=timezone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def times(schedule: Schedule, after: str, count: int) -> list[str]:
    return [f"{at:%m-%d %H:%M}" for at in islice(following(schedule, utc(after)), count)]


def test_the_times_of_every_are_multiples_since_the_epoch() -> None:
    assert times(every("7h"), "1970-01-01T00:00", 2) == ["01-01 07:00", "01-01 14:00"]


def test_a_nominal_time_itself_is_not_after_itself() -> None:
    assert times(every("5m"), "2026-01-01T00:05", 1) == ["01-01 00:10"]
    assert times(cron("*/5 * * * *"), "2026-01-01T00:05", 1) == ["01-01 00:10"]


def test_cron_is_read_in_its_time_zone() -> None:
    assert times(cron("0 9 * * 1-5"), "2026-07-01T00:00", 1) == ["07-01 08:00"]
    assert times(cron("0 9 * * 1-5", "Asia/Tokyo"), "2026-07-01T01:00", 1) == ["07-02 00:00"]


def test_a_fixed_time_in_the_hour_left_out_runs_when_it_would_have_ended() -> None:
    # London goes from 01:00 to 02:00 on 29 March 2026, at 01:00 UTC.
    found = times(cron("30 1 * * *"), "2026-03-28T00:00", 3)
    assert found == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]


def test_a_fixed_time_in_the_hour_that_comes_twice_runs_in_the_first() -> None:
    # London goes from 02:00 back to 01:00 on 25 October 2026, at 01:00 UTC.
    found = times(cron("30 1 * * *"), "2026-10-24T00:00", 3)
    assert found == ["10-24 00:30", "10-25 00:30", "10-26 01:30"]


def test_a_line_that_follows_the_time_that_passes_knows_no_change() -> None:
    half_hours = ["10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"]
    assert times(cron("*/30 * * * *"), "2026-10-25T00:00", 4) == half_hours
    assert times(cron("*/30 * * * *"), "2026-03-29T00:30", 2) == ["03-29 01:00", "03-29 01:30"]


@pytest.mark.parametrize("line", ["30 1 * * *", "0,30 1,2 * * *", "*/20 * * * *", "15 * * * *"])
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/London", "2026-03-29T01:00"),
        ("Europe/London", "2026-10-25T01:00"),
        ("Australia/Lord_Howe", "2026-04-04T15:00"),
        ("Australia/Lord_Howe", "2026-10-03T15:30"),
    ],
)
def test_wherever_it_begins_it_finds_the_same_times(line: str, zone: str, change: str) -> None:
    schedule, begin = cron(line, zone), utc(change) - timedelta(hours=3)
    whole = list(islice(following(schedule, begin), 20))
    for minute in range(0, 6 * 60, 5):
        middle = begin + timedelta(minutes=minute)
        assert next(following(schedule, middle)) == min(at for at in whole if at > middle)


def test_the_newest_of_a_long_absence_are_found_at_once() -> None:
    until = utc("2026-01-01T00:00")
    found = newest(cron("* * * * *"), utc("1996-01-01T00:00"), until, most=3)
    assert found == [until - timedelta(minutes=minutes) for minutes in (2, 1, 0)]


def test_fewer_than_asked_for_are_all_there_are() -> None:
    found = newest(cron("0 0 1 1 *"), utc("2024-06-01T00:00"), utc("2026-06-01T00:00"), most=9)
    assert found == [utc("2025-01-01T00:00"), utc("2026-01-01T00:00")]
