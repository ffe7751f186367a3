"""`hutch pause` and `hutch unpause`: what they say of the pauses that were there before."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command_line import hutch

SINCE = r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUTCH_STORE", f"sqlite:///{tmp_path / 'hutch.db'}")
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path / "nowhere"))
    assert hutch("migrate").exit_code == 0


@pytest.mark.parametrize(
    "steps",
    [
        [
            ("unpause", "bob", "bob was not paused"),
            ("pause", "bob", "bob is paused: 'hutch unpause bob' ends the pause"),
            (
                "pause",
                "bob",
                f"bob is already paused, {SINCE}: 'hutch unpause bob' ends the pause",
            ),
            ("unpause", "bob", "bob is not paused any more"),
        ],
        [
            ("unpause", "all", "no agent was paused"),
            ("pause", "all", "all agents are paused: 'hutch unpause all' ends the pause"),
            (
                "pause",
                "all",
                f"all agents are already paused, {SINCE}: 'hutch unpause all' ends the pause",
            ),
            (
                "unpause",
                "bob",
                "bob was not paused by name and stays paused, since all agents are: "
                "'hutch unpause all' unpauses them",
            ),
            (
                "pause",
                "bob",
                f"bob is paused; all agents are too, {SINCE}: 'hutch unpause all' ends both pauses",
            ),
            (
                "unpause",
                "bob",
                "bob stays paused, since all agents are: 'hutch unpause all' unpauses them",
            ),
            ("unpause", "all", "no agent is paused any more"),
        ],
    ],
    ids=["one agent", "all agents"],
)
def test_a_pause_and_its_end_say_what_was_paused_before(steps: list[tuple[str, str, str]]) -> None:
    for command, agent, sentence in steps:
        said = hutch(command, agent)
        assert said.exit_code == 0
        assert re.fullmatch(sentence + "\n", said.stdout), said.stdout


def test_a_pause_of_an_agent_that_neither_folder_nor_store_knows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "bob.yaml").write_text("name: bob")
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path / "agents"))
    said = hutch("pause", "gone")
    assert said.exit_code == 2
    assert said.stderr == f"hutch: no agent 'gone' in {tmp_path / 'agents'}; known: bob\n"
    assert hutch("unpause", "all").stdout == "no agent was paused\n"
    with closing(sqlite3.connect(tmp_path / "hutch.db", isolation_level=None)) as store:
        store.execute("INSERT INTO instances VALUES ('gone.1', 'gone', 1, 1)")
    assert hutch("pause", "gone").exit_code == 0
