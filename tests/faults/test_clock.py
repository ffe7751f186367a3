"""Clocks that are wrong, or jump: libfaketime shifts what a whole process sees, SQLite included."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from shared.contract.topology import mailbox_name
from tests.support.client import Client
from tests.support.machine import FAKETIME
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import Child, System, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.needs("faketime"),
]

HOURS = ["+1h", "-1h"]
JUMPS = ["+5m", "-1h"]
"""Forward less than a run's limit of ten minutes: past it, its deadline is over, and says so."""
SOON = timedelta(minutes=30)


def agent(system: System, name: str, **clock: str) -> Child:
    """Its wall clock is the one that libfaketime is given; its monotonic clock is the real one."""
    faked = {"LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1"} | clock
    child = system.start("services.agent", name, **faked)
    child.wait_for("consuming")
    return child


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)
@pytest.mark.parametrize("shift", HOURS)
def test_a_process_whose_clock_is_wrong_keeps_deadlines_and_takes_over_no_living_run(
    system: System, pika: Client, asked: Asked, shift: str
) -> None:
    """Replicas on machines with other clocks share PostgreSQL's."""
    right, wrong = system.agents("bob")[0], agent(system, "bob", FAKETIME=shift)
    assert f"{datetime.now(UTC):%Y-%m-%dT%H}" not in wrong.output
    deadline = (datetime.now(UTC) + SOON).isoformat()
    for _ in range(6):
        task = {"content": "[[latency 4]]Write.", "id": uuid4().hex, "deadline": deadline}
        pika.send("bob", task)
    assert {reply.status for reply in pika.replies(6)} == {"ok"}
    assert len(asked()) == 6
    assert "run taken over" not in right.output + wrong.output
    past = {"content": "x", "id": uuid4().hex, "deadline": datetime.now(UTC).isoformat()}
    right.end()
    assert pika.ask("bob", past).status == "timeout"


@pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)
@pytest.mark.parametrize("shift", JUMPS)
def test_a_clock_that_jumps_takes_no_run_from_a_living_process(
    system: System, pika: Client, asked: Asked, tmp_path: Path, shift: str
) -> None:
    """All on one machine, with its clock in SQLite too."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    both = [agent(system, "bob", **faked) for _ in range(2)]
    pika.send("bob", "[[latency 4]]Write.")
    until(lambda: len(asked()) == 1)
    clock.write_text(shift)
    assert pika.reply().status == "ok"
    assert {pika.ask("bob", "Write.").status for _ in range(5)} == {"ok"}
    assert len(asked()) == 6
    assert not any("run taken over" in child.output for child in both)
    assert [child.end() for child in both] == [0, 0]


EVERY_SECOND = "{name: plan, every: 1s, prompt: Plan the day., overlap: queue, missed: none}"
LATE = timedelta(seconds=10)
"""A slow machine's tick is; a schedule that is silent comes an hour later."""


def nominal(pika: Client) -> datetime:
    """Of the next tick that comes to the mailbox."""
    _, body = pika.taken(mailbox_name("bob"))
    return datetime.fromisoformat(json.loads(body)["nominal_at"])


@pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)
@pytest.mark.parametrize("shift", ["+1h", "+1d"])
def test_a_clock_that_was_ahead_and_is_set_back_costs_a_schedule_one_tick(
    system: System,
    pika: Client,
    agents: Path,
    tmp_path: Path,
    excuses: dict[str, str],
    shift: str,
) -> None:
    excuses["waiting"] = "no agent runs that takes the ticks"
    (agents / "bob.yaml").write_text(f"{{name: bob, schedule: [{EVERY_SECOND}]}}")
    system.env["HUTCH_AGENTS"] = str(agents)
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    faked = {"LD_PRELOAD": str(FAKETIME), "DONT_FAKE_MONOTONIC": "1"} | faked
    both = [system.start("services.scheduler", **faked) for _ in range(2)]
    for child in both:
        child.wait_for("scheduling")
    nominal(pika)
    clock.write_text(shift)
    while nominal(pika) < datetime.now(UTC) + SOON:
        pass
    set_back = datetime.now(UTC)
    clock.write_text("+0")
    while (first := nominal(pika)) > set_back + SOON:
        pass
    assert first - set_back < LATE
    found = [nominal(pika) for _ in range(3)]
    assert found == [first + timedelta(seconds=number) for number in (1, 2, 3)]
    assert sum(child.output.count("clock set back") for child in both) == 1
    assert [child.end() for child in both] == [0, 0]
