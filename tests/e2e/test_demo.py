"""`hutch demo`, as `make demo` runs it, and what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

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


def test_a_demo_that_is_kept_ends_with_the_address_of_the_page_and_then_with_ctrl_c(
    tmp_path: Path,
) -> None:
    if rabbitmq_container.engine() is None:
        need("rabbitmq-server")
    kept = {name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"}
    with subprocess.Popen(
        [sys.executable, "-m", "services.cli", "demo", "--keep"],
        env=kept | {"PYTHONPATH": str(REPOSITORY), "HUTCH_GATEWAY_PORT": "0"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        lines = iter(demo.stdout.readline, "")
        address = next(it for it in lines if it.startswith("page and API: ")).split()[3]
        with urlopen(f"{address.rstrip(';')}/api/me", timeout=PLAY_S) as reply:
            assert json.load(reply)["open"] is True
        demo.send_signal(signal.SIGINT)
        assert "tasks, " in list(lines)[-1]
        assert demo.wait(PLAY_S) == 0
    assert processes_in(tmp_path) == []


def play(folder: Path, *options: str, lines: tuple[str, ...]) -> None:
    """Play the demo to its end; these patterns must be in its output."""
    if rabbitmq_container.engine() is None:
        need("rabbitmq-server")
    kept = {name: value for name, value in os.environ.items() if name != "RABBITMQ_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "demo", *options],
        env=kept | {"PYTHONPATH": str(REPOSITORY)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEMO_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for line in lines:
        assert re.search(line, done.stdout), f"'{line}' was not said:\n{done.stdout}"
    summary = done.stdout.splitlines()[-1]
    counted = re.fullmatch(
        r"\d+ tasks, \d+ triggers, \d+ responses, \d+ model calls \(scripted\), (\d+) s", summary
    )
    assert counted, summary
    assert int(counted[1]) <= PLAY_S
    assert [file.name for file in (folder / ".hutch").iterdir()] == ["demo.log"]
    assert processes_in(folder) == []


def test_the_demo_plays_every_example_and_leaves_nothing(tmp_path: Path) -> None:
    lines = (
        r"alice → bob\n    Please write an email",
        r"bob → alice\n    Subject: Fire drill",
        r"editor uses count_words",
        r"richard remembers\n    From tom: Six of last week's",
        r"you → harry",
        r"refused: no agent 'alcie'; known: alice, bob",
        r"schedule 'plan' → alice",
        r"tick → tom",
        r"SCRIPTED",
    )
    play(tmp_path, lines=lines)


def test_the_demo_plays_the_support_desk_and_approves_a_refund(tmp_path: Path) -> None:
    lines = (
        r"inventory uses warehouse_stock\n    {",
        r"refunds uses search_knowledge\n    - \[docs/returns.md\]",
        r"The refund of order 1003 is made: 18.5 euros",
        r"The refund of order 1005 is denied",
        r"hutch approvals\n    \w+: refunds wants refund {\"amount\": ?149.0",
        r"hutch approve \w+\n    approved by you",
        r"The refund of order 1002 is made: 149.0 euros",
    )
    play(tmp_path, "--only", "support", lines=lines)
