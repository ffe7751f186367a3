from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.cli.options import given_text, not_before
from shared.errors import SettingsError
from tests.support.command_line import hutch

TOMORROW = datetime.now(UTC) + timedelta(days=1)
NEXT_DAY = f"{TOMORROW.astimezone():%Y-%m-%d}"


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
        (None, "tomorrow", None, "--at: 'tomorrow' is no time: it is like 09:00, 2026-12-01T09:00"),
        (None, "00:00", None, f"--at: 00:00 has passed: for tomorrow write {NEXT_DAY}T00:00"),
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


def test_a_text_is_given_as_it_is_from_stdin_or_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "task.txt").write_text("Grüße\n", "utf-8")
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin"))
    assert given_text(f"@{tmp_path / 'task.txt'}") == "Grüße\n"
    assert given_text("-") == "from stdin"
    assert given_text("@@bob: hello") == "@bob: hello"
    assert given_text("a - b") == "a - b"
    assert given_text(None) is None


@pytest.mark.parametrize(
    ("content", "fault"), [(b"\xff", "it is not UTF-8"), (b" \n", "the text is empty")]
)
def test_a_file_without_a_text_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    (tmp_path / "task.txt").write_bytes(content)
    with pytest.raises(SettingsError, match=fault):
        given_text(f"@{tmp_path / 'task.txt'}")


@pytest.mark.parametrize("command", ["ask", "send", "trigger", "broadcast"])
@pytest.mark.usefixtures("folder")
def test_each_command_with_a_text_names_a_file_that_is_missing(command: str) -> None:
    said = hutch(command, "bob", "@nowhere")
    assert said.exit_code == 2
    assert said.stderr == (
        "hutch: @nowhere: No such file or directory; a text that begins with @ is written "
        "@@nowhere\n"
    )
