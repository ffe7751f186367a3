"""Every agent restarted, one after another, under load, and its file changed meanwhile."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import define, states
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.load import load
from tests.support.processes.running import System, until

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]

BEFORE = {
    "boss": "preamble: Be brief.\nmodel: first\nworkers: [ann]",
    "ann": "preamble: Write.\nmodel: first\ntools:\n- text.py:count\n"
    "- {function: text.py:gate, repeatable: true}",
}
AFTER = {
    "boss": "preamble: Be thorough.\nmodel: second\nworkers: [ann]\ntools: ['text.py:added']",
    "ann": "preamble: Write well.\nmodel: second\ntools: ['text.py:added', 'text.py:count']",
}
TOOLS = """
import pathlib, time
def count(text: str) -> int:
    return len(text)
def added(text: str) -> str:
    return "added"
def gate() -> str:
    pathlib.Path(__file__).with_name("begun").touch()
    time.sleep(3)
    return "late"
"""


@pytest.fixture
def before(system: System, agents: Path) -> Path:
    """The agents as they are at first."""
    (agents / "tools").mkdir()
    (agents / "tools" / "text.py").write_text(TOOLS, "utf-8")
    define(agents, system, **BEFORE)
    return agents


def calling(prompt: str) -> str:
    return f"[[call ann {json.dumps({'prompt': prompt})}]]"


def prompted(number: int) -> str:
    return calling(f'[[latency 0.5]][[call count {{"text": "{number}"}}]]')


def test_a_rolling_restart_loses_and_repeats_nothing(
    system: System, asked: Asked, before: Path, broker_url: str
) -> None:
    system.env["HUTCH_DRAIN_S"] = "40"
    running = {name: system.agents(name, name) for name in ("ann", "boss")}
    with load(broker_url, "boss", prompted) as answered:
        until(lambda: len(asked()) > 10)
        define(before, system, **AFTER)
        for name, old in running.items():
            for process in old:
                [new] = system.agents(name)
                new.wait_for("run started")
                assert process.end() == 0
    assert len(answered) > 10
    assert set(answered.values()) == {"ok"}
    assert set(answered) == {f"t{number}" for number in range(len(answered))}
    calls = Counter(json.dumps(request["messages"]) for request in asked())
    assert calls.total() == 4 * len(answered)
    assert set(calls.values()) == {1}, "the same was asked twice"
    assert {request["model"] for request in asked()} == {"first", "second"}


def test_an_open_run_continues_with_the_snapshot_of_its_claim(
    system: System, pika: Client, asked: Asked, before: Path
) -> None:
    system.env["HUTCH_DRAIN_S"] = "1"
    [boss] = system.agents("boss")
    pika.send("boss", {"content": calling("[[call gate {}]]"), "id": "t1"})
    until(lambda: states(system) == {"boss": "waiting"})
    define(before, system, **AFTER)
    assert boss.end() == 0
    system.agents("boss")

    define(before, system, **BEFORE)
    [ann] = system.agents("ann")
    until((before / "tools" / "begun").exists)
    define(before, system, **AFTER)
    assert ann.end() == 0
    system.agents("ann")

    assert pika.reply().status == "ok"
    assert len(asked()) == 4
    assert {request["model"] for request in asked()} == {"first"}
    request = asked()[2]
    assert request["messages"][0]["content"].startswith("Write.")
    assert results_in(request)[-1] == "the tool 'gate' is not there any more"
