"""A pytest of its own each time, on files that are written for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY

NAMES = "abcdefgh"
PASSES = "def test_one(): pass\ndef test_two(): pass\n"
SIDE_BY_SIDE = ("-n", "2", "--dist", "worksteal")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / f"test_{name}.py").write_text(PASSES, "utf-8")
    return tmp_path


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.time_limit",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, "--rootdir", str(folder), *options, str(folder)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def order(folder: Path, seed: str) -> list[str]:
    """The tests in their order, each as its file's letter and its name."""
    done = run(folder, "--collect-only", "-q", "--seed", seed)
    found = re.findall(r"^test_(\w)\.py::test_(\w+)$", done.stdout, re.MULTILINE)
    return [f"{file} {test}" for file, test in found]


def test_a_seed_is_an_order_of_the_files_and_a_files_tests_stay_together(folder: Path) -> None:
    first, again, other = (order(folder, seed) for seed in ("1", "1", "2"))
    assert sorted(first) == [f"{name} {test}" for name in NAMES for test in ("one", "two")]
    assert first == again != other
    assert sorted(first) == sorted(other)
    for files in (first, other):
        assert [it[2:] for it in files] == ["one", "two"] * len(NAMES)
        assert all(one[0] == two[0] for one, two in zip(files[::2], files[1::2], strict=True))


@pytest.mark.parametrize("side_by_side", [(), SIDE_BY_SIDE])
def test_tests_that_the_time_limit_leaves_out_are_listed_and_have_not_passed(
    folder: Path, side_by_side: tuple[str, ...]
) -> None:
    done = run(folder, *side_by_side, "--until", str(time.time()))
    assert "not reached: 2 in test_a.py" in done.stdout
    assert "not reached in all: 16 tests in 8 files" in done.stdout
    assert "passed" not in done.stdout


def test_a_test_that_has_begun_is_finished_and_can_fail(folder: Path) -> None:
    ends = time.time() + 3600
    (folder / "test_a.py").write_text("import os\ndef test_it(): assert 'A' in os.environ\n")
    done = run(folder, *SIDE_BY_SIDE, "--until", str(ends))
    assert done.returncode == 1
    assert "1 failed, 14 passed" in done.stdout
    assert "not reached" not in done.stdout
