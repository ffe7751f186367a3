"""Users' tools in a real process: objects that stay open, and functions that never return."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import http_get
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = pytest.mark.long

TOOLS = """
import os
import threading
from pathlib import Path

never = threading.Event()


class Pool:
    def __init__(self) -> None:
        self.log = Path(os.environ["POOL_LOG"])

    async def open(self) -> None:
        self.write("open")

    def count(self, n: int, run_id: str) -> str:
        self.write(f"count {n} {bool(run_id)}")
        return str(n)

    async def close(self) -> None:
        self.write("close")

    def write(self, line: str) -> None:
        with self.log.open("a") as file:
            file.write(line + "\\n")


def hang(n: int) -> None:
    never.wait()
"""
CLERK = """
name: clerk
tools:
  - {function: "pool.py:Pool.count", repeatable: true}
  - {function: "pool.py:hang", timeout: 1s, concurrency: 2}
limits: {concurrency: 1}
"""


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
def test_a_function_that_never_returns_costs_neither_its_run_nor_its_process(
    system: System, pika: Client, asked: Asked, agents: Path, tmp_path: Path
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "pool.py").write_text(TOOLS, "utf-8")
    (agents / "clerk.yaml").write_text(CLERK, "utf-8")
    log = tmp_path / "pool.log"
    system.env |= {"HUTCH_AGENTS": str(agents), "POOL_LOG": str(log)}
    [clerk] = system.agents("clerk")
    port = int(clerk.wait_for(r'"port": (\d+)')[1])
    for number in range(3):
        reply = pika.ask("clerk", f'[[call hang {{"n": {number}}}]]')
        assert reply.status == "ok", reply
    results = [str(request["messages"][-1]["content"]) for request in asked()[1::2]]
    assert ["within 1 s. Whether it has acted" in it for it in results] == [True, True, False]
    assert "was not called: 2 of its calls are in progress" in results[2]
    assert clerk.count("a tool's function runs on after its call") == 2
    assert 'hutch_tool_threads{state="abandoned"} 2.0' in http_get(port, "metrics")[1]
    assert pika.ask("clerk", '[[call count {"n": "7"}]]').status == "ok"
    assert clerk.end() == 0
    assert log.read_text("utf-8").splitlines() == ["open", "count 7 True", "close"]
