from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from services.cli.output import ahead, plain, show_table, tail

REASON = "the id was used for another task; " * 10


@pytest.mark.parametrize("agent", ["bob", "a" * 40])
@pytest.mark.parametrize("width", [80, 200])
def test_only_the_last_column_of_a_table_is_cut(
    capsys: pytest.CaptureFixture[str], agent: str, width: int
) -> None:
    row = ["23f368abcdef", agent, "12", REASON]
    show_table(["id", "agent", "at#", "reason"], [row], piped_width=width)
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
