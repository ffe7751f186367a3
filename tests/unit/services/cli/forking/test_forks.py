"""Processes from a real fork server, which execute a small module."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import dedent
from typing import TypedDict, cast

import psutil
import pytest

from services.cli.forking.client import Forks
from shared.errors import HutchError
from shared.process.orphans import orphan_cleanup

PATIENCE_S = 20.0
WATCH = """
import asyncio, os, threading
found = {}

def look():
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        found["loop"] = False
    else:
        found["loop"] = True
    found["threads"] = threading.active_count()

os.register_at_fork(before=look)
"""
"""A module for the fork server: it notes its state before each fork."""
REPORT = """
import json, os, random, sys, uuid, watch

def main():
    opened = {}
    for name in os.listdir("/dev/fd"):
        try:
            opened[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # that of the listing itself
    print(json.dumps({
        "before": watch.found, "random": random.random(), "id": str(uuid.uuid4()), "fds": opened,
        "arguments": sys.argv[1:], "group": os.getpgid(0), "variable": os.environ["HUTCH_TEST"],
    }), flush=True)
    sys.stdin.read()
    return 3
"""
WAIT = """
import time
def main():
    print("up", flush=True)
    time.sleep(60)
"""

COMMAND = """
import asyncio, os, sys
from services.cli.forking.client import Forks
from shared.process.orphans import orphan_cleanup

async def report(forks, group):
    forks.prepare({**os.environ, "HUTCH_TEST": "set"}, group)
    process = await forks.start("report", ["one"])
    line = await process.stdout.readline()
    assert await process.stdout.read() == b""
    assert await process.wait() == 3
    return line.decode()

os.dup2(1, 9)  # a descriptor that processes inherit
print("a line that is still in the buffer")
forks = Forks(["watch", "report.__main__"], 65536)
forks.fork()
with orphan_cleanup("kill 0") as group:
    line = asyncio.run(report(forks, group))
forks.end()
print(group)
print(line)
"""
"""A program that forks its fork server, as the command line does."""


class Report(TypedDict):
    before: dict[str, object]
    random: float
    id: str
    fds: dict[str, str]
    arguments: list[str]
    group: int
    variable: str


@asynccontextmanager
async def forks_in(folder: Path, *names: str) -> AsyncIterator[tuple[Forks, int]]:
    """Forks, and their process group. The modules are in the folder."""
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    with orphan_cleanup("kill 0") as group:
        forks = Forks(names, 65536)
        forks.prepare({"PYTHONPATH": path, "HUTCH_TEST": "set"}, group)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield forks, group
        finally:
            forks.end()


def module(folder: Path, name: str, code: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "__main__.py").write_text(dedent(code))


async def test_forked_processes_share_no_state(tmp_path: Path) -> None:
    (tmp_path / "watch.py").write_text(WATCH)
    module(tmp_path, "report", REPORT)
    async with forks_in(tmp_path, "watch", "report.__main__") as (forks, group):
        processes = [await forks.start("report", [name]) for name in ("one", "two")]
        reports = [
            cast(Report, json.loads(await process.stdout.readline())) for process in processes
        ]
        assert [await process.wait() for process in processes] == [3, 3]
    one, two = reports
    assert one["random"] != two["random"]
    assert one["id"] != two["id"]
    for report, argument in ((one, "one"), (two, "two")):
        assert report["before"] == {"loop": False, "threads": 1}
        assert report["arguments"] == [argument]
        assert report["group"] == group
        assert report["variable"] == "set"
        if sys.platform == "linux":
            assert sorted(report["fds"]) == ["0", "1", "2"]
            assert report["fds"]["0"] == "/dev/null"
            assert report["fds"]["1"] == report["fds"]["2"]
    assert sys.platform != "linux" or one["fds"]["1"] != two["fds"]["1"]


def test_a_fork_server_that_the_command_line_has_forked_shares_no_state_either(
    tmp_path: Path,
) -> None:
    (tmp_path / "watch.py").write_text(WATCH)
    module(tmp_path, "report", REPORT)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    output = subprocess.check_output(
        [sys.executable, "-c", COMMAND],
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        timeout=PATIENCE_S,
    )
    buffered, group, line = output.splitlines()[:3]
    assert buffered == "a line that is still in the buffer"
    report = cast(Report, json.loads(line))
    assert report["before"] == {"loop": False, "threads": 1}
    assert report["arguments"] == ["one"]
    assert report["group"] == int(group)
    assert report["variable"] == "set"
    if sys.platform == "linux":
        assert sorted(report["fds"]) == ["0", "1", "2"]
        assert report["fds"]["0"] == "/dev/null"


async def test_a_module_is_read_when_its_process_starts(tmp_path: Path) -> None:
    async with forks_in(tmp_path) as (forks, _):
        for word in ("first", "edited"):
            module(tmp_path, "child", f"def main():\n    print({word!r})\n    return 0\n")
            process = await forks.start("child", [])
            assert (await process.stdout.read()).decode() == f"{word}\n"


async def test_a_process_is_called_by_its_command_and_gets_signals(tmp_path: Path) -> None:
    module(tmp_path, "child", WAIT)
    async with forks_in(tmp_path) as (forks, _):
        process = await forks.start("child", ["bob"])
        assert await process.stdout.readline() == b"up\n"
        assert " ".join(psutil.Process(process.pid).cmdline()).rstrip().endswith("-m child bob")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM


async def test_the_processes_of_a_killed_fork_server_end_and_another_one_forks(
    tmp_path: Path,
) -> None:
    module(tmp_path, "child", WAIT)
    async with forks_in(tmp_path) as (forks, _):
        for _ in range(2):
            process = await forks.start("child", [])
            assert await process.stdout.readline() == b"up\n"
            psutil.Process(process.pid).parent().kill()  # type: ignore[union-attr]  # it has one
            assert await process.wait() == -signal.SIGKILL
            assert await process.stdout.read() == b""


async def test_a_fork_server_that_can_not_start_is_reported(tmp_path: Path) -> None:
    async with forks_in(tmp_path, "no_such_module") as (forks, _):
        with pytest.raises(HutchError, match=r"no process can be forked \(exit code 1\)"):
            await forks.start("child", [])
