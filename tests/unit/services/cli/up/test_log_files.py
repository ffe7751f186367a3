"""The log files of processes, written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.up import log_files
from services.cli.up.log_files import LogReader

AT = "2026-11-30T12:00:0{}.000000Z {}"


def test_the_lines_of_all_processes_are_in_the_order_of_their_times(tmp_path: Path) -> None:
    for name, second in (("bob", 1), ("bob", 3), ("alice", 0), ("alice", 2)):
        log_files.write(tmp_path, name, AT.format(second, "line"))
        log_files.write(tmp_path, name, f"after {second}")
    found = LogReader(tmp_path, None).more()
    assert [name for name, _ in found] == ["alice"] * 2 + ["bob"] * 2 + ["alice"] * 2 + ["bob"] * 2
    assert [line for _, line in found][1::2] == ["after 0", "after 1", "after 2", "after 3"]


def test_an_agent_has_the_lines_of_all_its_replicas(tmp_path: Path) -> None:
    for name in ("alice", "bob", "bob.2", "bobby"):
        log_files.write(tmp_path, name, "line")
    assert {name for name, _ in LogReader(tmp_path, "bob").more()} == {"bob", "bob.2"}


def test_new_lines_come_once_and_whole(tmp_path: Path) -> None:
    reader = LogReader(tmp_path, "bob")
    assert reader.more() == []
    log_files.write(tmp_path, "bob", "one")
    assert reader.more() == [("bob", "one")]
    with (tmp_path / "bob.log").open("a") as log:
        log.write("tw")
        log.flush()
        assert reader.more() == []
        log.write("o\n")
    assert reader.more() == [("bob", "two")]


def test_a_long_log_is_bounded_and_no_line_is_read_twice_or_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "MOST_BYTES", 50)
    reader, read = LogReader(tmp_path, "bob"), []
    for number in range(100):
        log_files.write(tmp_path, "bob", f"line {number}")
        read += reader.more()
    assert [line for _, line in read] == [f"line {number}" for number in range(100)]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 200
    assert 5 <= len(LogReader(tmp_path, "bob").more()) <= 20


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    log_files.write(tmp_path / "file", "bob", "line")
