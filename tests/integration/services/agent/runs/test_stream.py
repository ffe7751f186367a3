"""The text of a run at a subscriber of the broker, from a model that streams."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.client.run_text import RunText
from shared.contract.messages import run_id
from shared.contract.stream import StreamPart
from shared.contract.topology import STREAM
from tests.support.client import Client
from tests.support.processes.agents import calling, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

WORDS = "Bob has answered, and so the whole task is done."
TASK = f"{calling('bob', '[[reply Psst.]]')}[[then]][[reply {WORDS}]]"
SLOWLY = f"{calling('bob', '[[latency 2]]')}[[then]][[reply {WORDS}]]"
QUIET_S = 0.5

Parts = Callable[[], list[StreamPart]]


def subscribed(pika: Client, key: str) -> Parts:
    """All parts so far under a routing key."""
    queue = pika.channel.queue_declare("", exclusive=True).method.queue
    pika.channel.queue_bind(queue, STREAM, key)
    found: list[StreamPart] = []

    def parts() -> list[StreamPart]:
        while (body := pika.channel.basic_get(queue, auto_ack=True)[2]) is not None:
            found.append(StreamPart.model_validate_json(body))
        return found

    return parts


@pytest.fixture
def managers(system: System, agents: Path) -> System:
    define(agents, system, alice="workers: [bob]", bob="preamble: You are Bob.")
    system.agents("bob", "alice")
    return system


@pytest.mark.essential
def test_a_managers_own_text_comes_part_by_part_and_adds_up_to_its_answer(
    managers: System, pika: Client
) -> None:
    parts = subscribed(pika, "the.root")
    pika.send("alice", {"content": TASK, "id": "t1", "root_id": "the.root", "stream": True})
    assert pika.reply().content.startswith(WORDS)
    text = RunText(run_id("alice", "t1"))
    until(lambda: text_of(text, parts()).get(2, "").startswith(WORDS))
    assert {(it.run_id, it.epoch, it.attempt) for it in parts()} == {(run_id("alice", "t1"), 1, 1)}
    assert "Psst" not in str(parts()), "a worker's text is not published"


def text_of(text: RunText, parts: list[StreamPart]) -> dict[int, str]:
    for it in parts:
        text.add(it)
    return text.turns


def test_a_task_that_has_not_asked_for_it_publishes_no_text(managers: System, pika: Client) -> None:
    parts = subscribed(pika, "#")
    pika.send("alice", {"content": TASK, "id": "t1"})
    assert pika.reply().status == "ok"
    time.sleep(QUIET_S)
    assert parts() == []


def test_a_run_that_another_process_resumes_goes_on_under_a_new_attempt(
    system: System, agents: Path, pika: Client, asked: Asked
) -> None:
    define(agents, system, alice="workers: [bob]", bob="preamble: You are Bob.")
    system.agents("bob")
    [alice] = system.agents("alice")
    parts = subscribed(pika, "t1")
    pika.send("alice", {"content": SLOWLY, "id": "t1", "stream": True})
    until(lambda: len(asked()) == 2)
    alice.kill()
    system.agents("alice")
    assert pika.reply().content.startswith(WORDS)
    text = RunText(run_id("alice", "t1"))
    until(lambda: text_of(text, parts()).get(2, "").startswith(WORDS))
    assert {it.attempt for it in parts() if it.turn == 2} == {2}
