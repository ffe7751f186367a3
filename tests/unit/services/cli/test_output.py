from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from services.cli.output import ahead, local_time, plain, short_time, show_table, tail

REASON = "the id was used for another task; " * 10


@pytest.mark.parametrize("agent", ["bob", "a" * 40])
@pytest.mark.parametrize("width", [80, 200])
def test_only_the_last_column_of_a_table_is_cut(
    capsys: pytest.CaptureFixture[str], agent: str, width: int
) -> None:
    row = ["23f368abcdef", agent, "12", REASON]
    show_table(["id", "agent", "at#", "reason"], [row], width=width)
    head, line = capsys.readouterr().out.splitlines()
    assert head.split() == ["id", "agent", "at", "reason"]
    assert line.split()[:3] == ["23f368abcdef", agent, "12"]
    assert "the id was used fo" in line
    assert line.rstrip().endswith("…")


def test_control_codes_in_an_answer_are_not_printed() -> None:
    assert plain("\x1b[2Jsee [this]\n\tand\x07 that\x9b") == "[2Jsee [this]\n\tand that"


def test_the_end_of_a_text_fills_at_most_half_of_the_terminal() -> None:
    console = Console(width=20, height=10, file=StringIO())
    shown = tail(console, ["first", "line\n" * 50 + "the \x1b[2Jlast words of all"]).plain
    lines = shown.splitlines()
    assert len(lines) == 5
    assert [line.rstrip() for line in lines[-2:]] == ["the [2Jlast words of", "all"]
    assert tail(console, []).plain == ""


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, ""),
        (40.2, " in 40 s"),
        (600.2, " in 10 min"),
        (7200.2, " in 2 h"),
        (259200.2, " in 3 days"),
    ],
)
def test_a_time_in_the_future_is_shown_by_what_is_left(seconds: float, said: str) -> None:
    assert ahead(datetime.now(UTC) + timedelta(seconds=seconds)) == said
    assert ahead(None) == ""


def test_nothing_is_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["id", "reason"], [["1", REASON], ["2", "two\nlines"]], spare=["id"])
    head, long, short = capsys.readouterr().out.splitlines()
    assert head == "id  reason"
    assert long == f"1   {REASON.rstrip()}"
    assert short == "2   two lines"


@pytest.mark.parametrize(
    ("width", "heads"),
    [(80, "id agent kind took text"), (50, "id agent kind text"), (45, "id agent text")],
)
def test_spare_columns_are_left_out_where_a_terminal_is_narrow(
    capsys: pytest.CaptureFixture[str], width: int, heads: str
) -> None:
    row = ["23f368abcdef", "bob", "trigger", "2.0 s", "Write about lifts. " * 3]
    columns = ["id", "agent", "kind", "took#", "text"]
    show_table(columns, [row], spare=["took", "kind"], width=width)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == heads.split()
    assert max(map(len, lines)) <= width


def test_a_column_in_which_no_row_has_anything_is_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_table(["id", "deaths#", "text"], [["1", "", "One"], ["2", "", "Two"]])
    assert capsys.readouterr().out.splitlines() == ["id  text", "1   One", "2   Two"]


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_new_york")
@pytest.mark.parametrize(
    ("at", "whole", "short"),
    [
        ("2026-11-30T14:00:05Z", "2026-11-30 09:00:05", "09:00:05"),
        ("2026-11-30T03:00:05Z", "2026-11-29 22:00:05", "Nov 29 22:00"),
        ("2025-11-30T14:00:05Z", "2025-11-30 09:00:05", "2025-11-30"),
        ("9999-12-31T23:59:59Z", "9999-12-31 18:59:59", "9999-12-31"),
    ],
)
def test_times_are_those_of_this_machines_clock(at: str, whole: str, short: str) -> None:
    now = datetime(2026, 12, 1, 2, tzinfo=UTC)  # still November in New York
    assert local_time(datetime.fromisoformat(at)) == whole
    assert short_time(datetime.fromisoformat(at), now) == short


@pytest.mark.usefixtures("in_new_york")
def test_a_time_that_has_no_local_time_is_shown_as_it_is() -> None:
    assert local_time(datetime.min.replace(tzinfo=UTC)).endswith("01-01 00:00:00")
