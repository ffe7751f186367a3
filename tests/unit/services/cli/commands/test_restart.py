"""Commands for a 'hutch up' where none runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.machine.home import HOME
from services.cli.up import log_files
from tests.support.command_line import hutch


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)


@pytest.mark.parametrize(
    ("command", "compose", "kubernetes"),
    [
        (["restart", "bob"], "compose restart bob'", "rollout restart deployment bob'"),
        (["scale", "bob", "3"], "--scale bob=3'", "scale deployment bob --replicas=3'"),
    ],
)
def test_without_an_up_the_commands_of_other_places_are_named(
    command: list[str], compose: str, kubernetes: str
) -> None:
    result = hutch(*command)
    assert result.exit_code == 1
    assert "no 'hutch up' of this folder runs 'bob': 'hutch up bob' starts it" in result.stderr
    assert compose in result.stderr
    assert kubernetes in result.stderr


@pytest.mark.parametrize("command", [("restart", "bobb"), ("scale", "bobb", "2")])
def test_a_misspelt_agent_is_one_line(command: tuple[str, ...]) -> None:
    said = hutch(*command)
    assert said.exit_code == 2
    [line] = said.stderr.splitlines()
    assert line.endswith("; known: alice, bob; did you mean bob?")


def test_logs_are_printed_or_their_absence_is_explained() -> None:
    result = hutch("logs", "bob")
    assert result.exit_code == 1
    assert "no log of bob in this folder; with compose, use 'docker compose logs bob'" in (
        result.stderr
    )
    for line in ("one", "two"):
        log_files.write(log_files.folder(HOME), "bob", line)
    assert hutch("logs").stdout == "bob | one\nbob | two\n"
    assert hutch("logs", "bob", "--tail", "1").stdout == "bob | two\n"


def test_down_deletes_what_the_folder_keeps_after_a_yes() -> None:
    (HOME / "logs").mkdir(parents=True)
    assert hutch("down").stdout == "no 'hutch up' runs in this folder\n"
    refused = hutch("down", "--forget")
    assert refused.exit_code == 2
    assert "add --yes" in refused.stderr
    assert HOME.is_dir()
    assert "deleted '.hutch' and its broker" in hutch("down", "--forget", "--yes").stdout
    assert not HOME.exists()
    assert "nothing to delete" in hutch("down", "--forget", "--yes").stdout
