"""`hutch down --forget`."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.machine.home import HOME
from tests.support.command_line import hutch


def test_without_a_terminal_nothing_is_deleted_unless_yes_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    HOME.mkdir()
    refused = hutch("down", "--forget")
    assert (refused.exit_code, HOME.is_dir()) == (2, True)
    assert "--forget deletes all runs, messages and logs here: add --yes" in refused.stderr
