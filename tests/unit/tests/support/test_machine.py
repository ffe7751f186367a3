"""Processes of their own, on a machine with an empty PATH: no engine, no Node, no make."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY

OURS = ("-c", str(REPOSITORY / "pyproject.toml"), "-p", "tests.conftest", ".")
NEEDS = """
import gc
import pytest
from tests.support.stores import postgresql

@pytest.fixture(scope="session")
def engine():
    with postgresql.server() as running:
        yield running

@pytest.mark.parametrize("number", range(5))
def test_in_a_container(engine, number): ...

@pytest.mark.needs("node")
def test_in_node(): ...

@pytest.mark.needs("make")
def test_by_make(): ...

def test_that_no_client_of_the_engine_was_left_open():
    gc.collect()
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env={
            "PATH": str(folder / "nothing"),
            "HOME": str(folder),
            "DOCKER_HOST": f"unix://{folder}/nothing",
            "PYTHONPATH": str(REPOSITORY),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_missing_parts_are_listed_before_any_test(tmp_path: Path) -> None:
    said = run(tmp_path, "tests.support.machine").splitlines()
    assert said[0].startswith(f"Python {sys.version.split()[0]} runs the tests")
    assert said[1].startswith("found: ")
    for part in ("docker", "node", "make", "prometheus", "podman"):
        assert sum(line.startswith(f"NOT RUN: no {part} here: ") for line in said) == 1, part


@pytest.mark.parametrize("side_by_side", [(), ("-n", "2")])
def test_a_part_that_a_machine_lacks_is_one_line_at_the_end_and_no_failure(
    tmp_path: Path, side_by_side: tuple[str, ...]
) -> None:
    (tmp_path / "test_it.py").write_text(NEEDS, "utf-8")
    said = run(tmp_path, "pytest", "-p", "tests.conftest", *side_by_side)
    left_out = [line for line in said.splitlines() if line.startswith("NOT RUN")]
    assert [line.partition(" here")[0] for line in left_out] == [
        "NOT RUN: 5 of the tests: no docker",
        "NOT RUN: 1 of the tests: no make",
        "NOT RUN: 1 of the tests: no node",
    ]
    assert "1 passed, 7 skipped" in said
    assert "SKIPPED" not in said
