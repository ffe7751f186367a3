"""Lines on a narrow terminal, and in a pipe."""

from __future__ import annotations

import pytest
from rich.text import Text

from services.cli.up.screen import Screen

LINE = (
    "2026-11-30T12:08:48.000000Z [info     ] consuming                agent=bob "
    "queue=agent.bob service='agent bob'"
)


def test_a_long_line_continues_below_its_text_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "40"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    Screen(["scheduler"]).show("bob", LINE)
    first, second = Text.from_ansi(capsys.readouterr().out).plain.splitlines()
    assert first.startswith("bob       | ")
    assert "[info] consuming" in first
    assert second.startswith("          | ")
    assert second.rstrip().endswith("queue=agent.bob")
    assert max(len(first), len(second)) <= 40


def test_a_line_in_a_pipe_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(["bob"]).show("bob", LINE)
    assert capsys.readouterr().out == f"bob | {LINE}\n"
