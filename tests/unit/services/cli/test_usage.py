"""Version, completion and trace; and the words for a command that is used wrongly."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.command_line import hutch
from tests.support.repository import REPOSITORY


def test_the_version_is_that_of_the_distribution_and_the_image() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    version = project["project"]["version"]
    said = hutch("--version")
    assert (said.exit_code, said.stdout) == (0, f"hutch {version}\n")
    assert f'image.version="{version}"' in (REPOSITORY / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("line", ["--debug check", "check --debug", "dead list --debug"])
def test_the_trace_is_shown_with_debug_anywhere_on_the_line(folder: Path, line: str) -> None:
    (folder / "bob.yaml").write_text("name: [")
    assert "Traceback" in hutch(*line.split()).stderr


def test_debug_after_two_hyphens_is_a_text(folder: Path) -> None:
    said = hutch("ask", "alice", "--", "--debug").stderr
    assert said.startswith("hutch: no broker can be reached")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hutch ch", "check"),
        ("hutch ask ", "alice bob"),
        ("hutch ask b", "bob"),
        ("hutch watch --agent b", "bob"),
        ("hutch restart b", "bob"),
        ("hutch scale b", "bob"),
        ("hutch logs b", "bob"),
        ("hutch runs b", "bob"),
        ("hutch k8s b", "bob"),
        ("hutch up alice b", "bob"),
        ("hutch cancel x --agent a", "alice"),
        ("hutch dead dr", "drop"),
        ("hutch check --h", "--help"),
    ],
)
def test_commands_options_and_agents_are_completed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, completed: str
) -> None:
    monkeypatch.setenv("_HUTCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert hutch().stdout.split() == completed.split()


def test_the_completion_of_a_shell_is_printed_for_its_start_file() -> None:
    program = f"{sys.executable} -m services.cli --show-completion; :"  # `:`: bash stays its parent
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert "complete -o default -F _hutch_completion hutch" in done.stdout


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--timeout", "5"), "--timeout: "),
        (("--timeout", "87600000h"), "--timeout: "),
        (("--id", "two words"), "id: "),
    ],
)
def test_a_wrong_option_is_named(folder: Path, option: tuple[str, str], said: str) -> None:
    asked = hutch("ask", "alice", "Hi", *option)
    assert asked.exit_code == 2
    assert said in asked.stderr


def test_usage_errors_exit_with_2() -> None:
    assert hutch("ask").exit_code == 2
    assert hutch("no-such-command").exit_code == 2
    assert hutch("runs", "--status", "lost").exit_code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("runs --status bad", "invalid value for '--status': 'bad' is not one of 'ok', "),
        (
            "runs --statu ok",
            "no such option: --statu (Possible options: --status); see 'hutch runs",
        ),
        ("ask", "missing argument 'agent'; see 'hutch ask --help'\n"),
        ("--foo", "no such option: --foo; see 'hutch --help'\n"),
        ("docter", "no such command 'docter'. Did you mean 'doctor'? See 'hutch --help'\n"),
        ("dead shw", "no such command 'shw'. Did you mean 'show'? See 'hutch dead --help'\n"),
    ],
)
def test_a_usage_error_is_one_sentence(line: str, said: str) -> None:
    wrong = hutch(*line.split())
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith(f"hutch: {said}")
    assert wrong.stderr.count("\n") == 1


def test_several_commands_print_their_help_if_none_is_given() -> None:
    assert "replay" in hutch("dead").stdout + hutch("dead").stderr
