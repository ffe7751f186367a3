from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.cli.options import not_before
from shared.errors import SettingsError

TOMORROW = datetime.now(UTC) + timedelta(days=1)


def test_a_delay_counts_from_now() -> None:
    start = not_before("1h30m", None)
    assert start
    assert abs(start - datetime.now(UTC) - timedelta(minutes=90)) < timedelta(seconds=10)
    assert not_before(None, None) is None


def test_a_time_without_an_offset_is_this_machines() -> None:
    here = TOMORROW.astimezone().replace(tzinfo=None)
    assert not_before(None, here.isoformat()) == TOMORROW
    far = TOMORROW.astimezone(UTC) + timedelta(hours=5)
    assert not_before(None, f"{far:%Y-%m-%d %H:%M:%S.%f}+05:00") == TOMORROW


@pytest.mark.parametrize(
    ("delay", "at", "session", "reason"),
    [
        ("10m", "2026-12-01T09:00", None, "--delay and --at exclude each other"),
        (None, "2020-01-01T09:00", None, "--at: 2020-01-01T09:00 has passed"),
        (None, "tomorrow", None, "--at: 'tomorrow' is no time: write 2026-12-01T09:00, or"),
        (None, "9999-12-31T23:59-23:00", None, "is no time"),
        ("soon", None, None, "--delay: "),
        ("721h", None, None, "a task can be delayed by at most 30 days: send it later"),
        ("1h", None, "s1", "a task of a session can't be delayed"),
    ],
)
def test_a_start_that_no_task_can_have_is_one_sentence(
    delay: str | None, at: str | None, session: str | None, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        not_before(delay, at, session)
    assert reason in str(caught.value)
