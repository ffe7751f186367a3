"""A process that is ready is warm: its first task does not wait for what the second finds done."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from statistics import median

import pytest

from tests.support.client import Client
from tests.support.processes.agents import define
from tests.support.processes.modules import LISTED
from tests.support.processes.running import Child, System, until
from tests.support.report import summary

pytestmark = pytest.mark.long


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
@pytest.mark.parametrize(("wire", "stream"), [("chat", False), ("chat", True), ("responses", True)])
def test_the_first_task_imports_nothing(
    pytestconfig: pytest.Config,
    system: System,
    agents: Path,
    pika: Client,
    wire: str,
    stream: bool,
) -> None:
    define(agents, system, bob=f"model: {{api: {wire}}}")
    child = system.start("tests.support.processes.modules", "bob")
    child.wait_for("consuming")
    assert pika.received() is None  # it consumes now
    before = _modules(child)
    first_s, *later_s = (_took_s(pika, number, stream) for number in range(4))
    assert _modules(child) == before
    ratio = f"the first task took {first_s / median(later_s):.1f} times as long as later ones"
    summary(pytestconfig)[f"warm, {wire}{', streamed' if stream else ''}"] = ratio


def _modules(child: Child) -> set[str]:
    listed = child.count(LISTED)
    child.process.send_signal(signal.SIGUSR1)
    until(lambda: child.count(f"{LISTED}.*\n") > listed)
    return set(child.output.rpartition(LISTED)[2].partition("\n")[0].split())


def _took_s(pika: Client, number: int, stream: bool) -> float:
    began = time.monotonic()
    pika.send(
        "bob", json.dumps({"content": "Write.", "id": f"t{number}", "stream": stream}).encode()
    )
    assert pika.reply().status == "ok"
    return time.monotonic() - began
