"""Orphan clean-up after a kill, and none after a good end."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from shared.process.orphans import orphan_cleanup

PATIENCE_S = 20.0
KILLED = """
import os, subprocess
from shared.process.orphans import orphan_cleanup
with orphan_cleanup("kill 0") as group:
    child = subprocess.Popen(["sleep", "60"], process_group=group)
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_children_of_a_killed_process_are_ended() -> None:
    done = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, timeout=60)
    pid = int(done.stdout)
    until = time.monotonic() + PATIENCE_S
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert done.returncode == -9
    assert not alive(pid)


def test_the_command_is_not_run_after_a_good_end(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with orphan_cleanup(f"touch {mark}") as group:
        assert alive(group)
    assert not alive(group)
    assert not mark.exists()
