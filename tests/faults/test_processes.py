"""Processes that are killed, all at once or by what they run, and such as are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.agents import MODEL_CALLS, answer, content
from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long

TEAM = ("hand", "hand", "boss", "boss")


def send(pika: Client, number: int) -> str:
    task = f"task-1-{number}"
    pika.send("boss", {"id": task, "content": content(task)})
    return task


def test_all_replicas_are_killed_at_once_and_each_task_is_answered_once(
    system: System, pika: Client, asked: Asked, marks: Path
) -> None:
    team = system.agents(*TEAM)
    tasks = [send(pika, number) for number in range(10)]
    until(lambda: len(asked()) >= 8)
    for child in team:
        child.process.kill()
    system.agents(*TEAM)
    assert {reply.content for reply in pika.replies(10)} == {answer(task) for task in tasks}
    assert len(asked()) <= 10 * MODEL_CALLS + len(team), "one call died with each, at most"
    assert sum(len(mark.read_text()) for mark in marks.iterdir()) <= 10 + 2
    assert {mark.name for mark in marks.iterdir()} == set(tasks)
