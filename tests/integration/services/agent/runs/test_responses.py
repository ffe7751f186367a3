"""Runs by the Responses API: encrypted reasoning is in the journal, not at the provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.processes.agents import calling, define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

TASK = f"{calling('bob', 'first [[latency 2]]')}[[then]]{calling('bob', 'second [[latency 2]]')}"


def reasoning(request: dict[str, Any]) -> list[str]:
    return [it["content"] for it in request["messages"] if it["role"] == "reasoning"]


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_a_run_killed_between_its_steps_resumes_elsewhere_with_the_same_reasoning(
    system: System, pika: Client, agents: Path, asked: Asked
) -> None:
    define(
        agents,
        system,
        alice="preamble: You are Alice.\nworkers: [bob]\nmodel: {api: responses}",
        bob="preamble: You are Bob.",
    )

    def alices() -> list[dict[str, Any]]:
        return [it for it in asked() if it["system"].startswith("You are Alice.")]

    def bobs() -> int:
        return len(asked()) - len(alices())

    system.agents("bob")
    [alice] = system.agents("alice")
    pika.send("alice", TASK)
    for calls in (1, 2):
        until(lambda calls=calls: bobs() == calls)  # type: ignore[misc]  # mypy infers no default
        alice.kill()
        [alice] = system.agents("alice")
    assert pika.reply().status == "ok"
    sent = [reasoning(it) for it in alices()]
    assert [len(it) for it in sent] == [0, 1, 2], "no model call was made twice"
    assert sent[2][0] == sent[1][0]
    assert all(sent[2])
