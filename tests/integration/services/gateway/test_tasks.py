"""Tasks through a gateway's HTTP, with real agents behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gateway import client, gateway, stream
from tests.support.processes.agents import calling, define
from tests.support.processes.running import System

pytestmark = [
    pytest.mark.essential,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]

WORDS = "Bob has answered, and so the whole task is done."
TASK = f"{calling('bob', '[[reply Psst.]]')}[[then]][[reply {WORDS}]]"


@pytest.fixture
def address(system: System, agents: Path) -> str:
    define(agents, system, alice="workers: [bob]", bob="preamble: You are Bob.")
    system.agents("bob", "alice")
    return gateway(system)[1]


async def test_a_client_that_waits_gets_the_answer(address: str) -> None:
    async with client(address) as http:
        response = await http.post(
            "/api/tasks", json={"agent": "bob", "content": "[[reply Hello.]]", "wait": 30}
        )
        assert response.status_code == 200, response.text
        task = response.json()
        assert (task["status"], task["agent"]) == ("ok", "bob")
        assert task["content"].startswith("Hello.")
        again = await http.get(response.headers["Location"])
        assert again.json() == task


async def test_the_events_of_a_task_are_its_tree_its_text_and_its_response(address: str) -> None:
    async with client(address) as http:
        sent = await http.post(
            "/api/tasks", json={"agent": "alice", "content": TASK, "stream": True}
        )
        assert sent.status_code == 202
        async with stream(http, sent.json()["links"]["events"]) as events:
            names = [it.name async for it in events]
        assert names.count("response") == 1
        assert names[-1] == "response"
        answer = events.events[-1].data["content"]
        assert "".join(it.data["text"] for it in events.events if it.name == "text") == answer
        ended = [it.data["agent"] for it in events.events if it.data.get("status") == "ok"]
        assert ended == ["bob", "alice", "alice"]
        steps = [it.data for it in events.events if it.name == "step"]
        assert [(it["agent"], it["turn"], it["position"]) for it in steps] == [
            ("alice", 1, 0),
            ("bob", 1, 0),
            ("alice", 1, 1),
            ("alice", 2, 0),
        ]
