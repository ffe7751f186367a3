"""The process: served, ended, and one sentence when its port is taken."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request

from tests.support.repository import REPOSITORY

WAIT_S = 30.0


def _started(port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "services.scripted"],
        cwd=REPOSITORY,
        env={**os.environ, "HUTCH_SCRIPTED_PORT": str(port), "HUTCH_LOG": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _served_port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if "the scripted model is served" in line:
            return int(line.partition('"port": ')[2].partition(",")[0])
    raise AssertionError("it ended before it served")


def test_it_serves_on_the_port_that_it_logs_and_ends_when_asked() -> None:
    with _started(0) as process:
        port = _served_port(process)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=WAIT_S) as reply:
            assert reply.status == 200
        process.terminate()
        assert process.wait(WAIT_S) == 0


def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _started(port) as process:
            _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 2
    assert said.startswith(
        f"hutch scripted: can't serve the scripted model on 127.0.0.1:{port}: Address already"
    )
