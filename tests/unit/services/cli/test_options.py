from __future__ import annotations

import io
from pathlib import Path

import pytest

from services.cli.options import given_text
from shared.errors import SettingsError
from tests.support.command_line import hutch


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
