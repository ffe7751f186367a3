from __future__ import annotations

from pathlib import Path

from tests.support.pages import COMMANDS


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    followed = Path(__file__).parents[2] / "integration" / "services" / "test_operations.py"
    text = followed.read_text("utf-8")
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        assert f'"{command}"' in text or f"'{command}'" in text, f"not run by a test: {command}"
