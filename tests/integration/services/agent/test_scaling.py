"""A scale-in of an agent under load: SIGTERM to one process, SIGKILL after its grace period."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.load import load
from tests.support.processes.running import Child, System, until
from tests.support.report import summary

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]

DRAIN_S = 6.0
"""Instead of 20: nothing but the test's patience asks for it."""
GRACE_S = 2.0
"""The grace period of the process that is killed, as a pod's that is shorter than a drain."""
CALL_S = 0.4
"""A worker's model call takes so long: far below half a drain, also on a busy machine."""
TURNS = 18
"""Model calls of a long run: longer than a drain."""
EVERY_S, EVERY_LONG = 0.8, 3
"""Four processes with one slot each are most of the time busy, three of four of them with it."""

# One slot each: a process that is killed takes one model call with it, and no more.
HAND = "tools: ['count.py:count']\nlimits: {concurrency: 1, turns: 20}"
COUNT = """
import os, pathlib
def count(left: int) -> str:
    pathlib.Path(__file__).with_name(str(os.getpid())).write_text(str(left))
    return f"{left} left"
"""


def prompted(number: int) -> str:
    """Every third task takes its worker longer than a drain."""
    turns = TURNS if number % EVERY_LONG == 0 else 2
    latency = f"[[latency {CALL_S}]]"
    calls = [f'{latency}[[call count {{"left": {left}}}]]' for left in range(turns - 1, 0, -1)]
    prompt = "[[then]]".join([*calls, f"{latency}[[reply counted]]"])
    return f"{number} [[call hand {json.dumps({'prompt': f'{number} {prompt}'})}]]"


def calls_of(tasks: int) -> int:
    """Model calls that so many tasks cost: two of the manager, the rest of the worker."""
    return sum(2 + (TURNS if number % EVERY_LONG == 0 else 2) for number in range(tasks))


def until_early_in_a_long_run(agents: Path, child: Child) -> None:
    """Until the process has more work than half a drain has time for."""
    mark = agents / "tools" / str(child.process.pid)
    until(lambda: mark.exists() and int(mark.read_text("utf-8") or 0) > TURNS * 0.6)


def handed_over_s(system: System) -> list[float]:
    """From each hand-over to its run's next start, as the processes' logs have it."""
    lines = [
        (datetime.fromisoformat(line["time"]), line["message"], line.get("run"))
        for child in system.children
        for line in map(json.loads, re.findall(r"^{.*}$", child.output, re.MULTILINE))
        if line.get("message") in {"run handed over", "run started"}
    ]
    waits = []
    for at, what, run in lines:
        if what == "run handed over":
            after = [then for then, event, other in lines if other == run and then > at]
            waits.append((min(after) - at).total_seconds())
    return waits


def test_a_scale_in_under_load_loses_and_repays_nothing(
    system: System,
    asked: Asked,
    agents: Path,
    broker_url: str,
    postgresql_url: str,
    pytestconfig: pytest.Config,
) -> None:
    asyncio.run(migrate(postgresql_url))
    system.env |= {"HUTCH_STORE": postgresql_url, "HUTCH_DRAIN_S": str(DRAIN_S)}
    (agents / "tools").mkdir()
    (agents / "tools" / "count.py").write_text(COUNT, "utf-8")
    define(agents, system, boss="workers: [hand]", hand=HAND)
    bosses, hands = system.agents("boss", "boss"), system.agents(*["hand"] * 3)
    system.env["HUTCH_DRAIN_S"] = "600"
    [stubborn] = system.agents("hand")
    system.env["HUTCH_DRAIN_S"] = str(DRAIN_S)

    with load(broker_url, "boss", prompted, EVERY_S) as answered:
        until_early_in_a_long_run(agents, hands[0])
        assert hands[0].end() == 0  # 4 -> 3
        until_early_in_a_long_run(agents, stubborn)
        stubborn.process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            stubborn.process.wait(GRACE_S)
        stubborn.kill()  # 3 -> 2
        system.agents("hand")  # 2 -> 3
        assert bosses[0].end() == 0  # 2 -> 1
        for hand in hands[1:]:  # 3 -> 1
            until_early_in_a_long_run(agents, hand)
            assert hand.end() == 0

    assert set(answered) == {f"t{number}" for number in range(len(answered))}
    assert set(answered.values()) == {"ok"}
    waits_s = handed_over_s(system)
    assert len(waits_s) >= len(hands)
    calls = Counter(json.dumps(request["messages"]) for request in asked())
    again = [call for call, times in calls.items() if times > 1]
    assert len(calls) == calls_of(len(answered))
    assert calls.total() - len(calls) <= 1, f"beside the killed one's call in flight: {again}"
    summary(pytestconfig)["scale-in"] = (
        f"{len(answered)} tasks, 0 lost, {calls.total()} model calls for {len(calls)} steps, "
        f"{len(waits_s)} hand-overs, the longest wait {max(waits_s):.1f} s"
    )
