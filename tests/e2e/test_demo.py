"""`hutch demo`, as `make demo` runs it, and what it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.cli.machine import rabbitmq_container
from tests.support.machine import need
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.essential

DEMO_S = 180
"""The broker's and eleven processes' start, and the play; a minute on an idle machine."""
PLAY_S = 60


def processes_in(folder: Path) -> list[str]:
    return [
        process.info["name"]
        for process in psutil.process_iter(["name", "environ", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
        and str(folder) in str(process.info["environ"])
    ]


def test_the_demo_plays_every_example_and_leaves_nothing(tmp_path: Path) -> None:
    if rabbitmq_container.engine() is None:
        need("rabbitmq-server")
    kept = {name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo"],
        env=kept | {"PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in (
        r"alice → bob\n    Please write an email",
        r"bob → alice\n    Subject: Fire drill",
        r"editor uses count_words",
        r"richard remembers\n    From tom: Six of last week's",
        r"you → harry",
        r"refused: no agent 'alcie'; known: alice, bob",
        r"schedule 'plan' → alice",
        r"tick → tom",
        r"SCRIPTED",
    ):
        assert re.search(line, done.stdout), f"'{line}' was not said:\n{done.stdout}"
    summary = done.stdout.splitlines()[-1]
    counted = re.fullmatch(
        r"\d+ tasks, \d+ triggers, \d+ responses, \d+ model calls \(scripted\), (\d+) s", summary
    )
    assert counted, summary
    assert int(counted[1]) <= PLAY_S
    assert [file.name for file in (tmp_path / ".hutch").iterdir()] == ["demo.log"]
    assert processes_in(tmp_path) == []
