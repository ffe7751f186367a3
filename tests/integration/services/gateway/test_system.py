"""The overview, agents, schedules and dead letters of a real system, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.gateway import client, gateway
from tests.support.processes.agents import define
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

TOOL = '''
def weekday(date: str) -> str:
    """The day of the week of a date."""
    return "Monday"
'''


@pytest.fixture
def address(system: System, agents: Path) -> str:
    """Alice manages bob, who wakes daily and does not run; carl's file has a fault."""
    (agents / "tools").mkdir()
    (agents / "tools" / "dates.py").write_text(TOOL)
    define(
        agents,
        system,
        alice="workers: [bob]\ntools: [dates.py:weekday]",
        bob="swarm: writers\nschedule: [{name: plan, every: 24h, prompt: '[[reply Planned.]]'}]",
        carl="workers: [nobody]",
    )
    system.agents("alice")
    return gateway(system)[1]


async def test_the_overview_shows_agents_and_what_needs_a_person(
    address: str, system: System, pika: Client
) -> None:
    pika.ask("alice", {"content": "[[reply Hello.]]", "id": "t1"})
    pika.ask("dora", {"content": "Hello?", "id": "lost"})
    assert system.hutch("send", "bob", "Write").returncode == 0
    async with client(address) as http:
        found = (await http.get("/api/overview")).json()
        rows = {it["name"]: it for it in found["agents"]}
        assert rows["alice"] | {"queued": 0} == rows["alice"]
        assert (rows["alice"]["processes"], rows["alice"]["workers"]) == (1, ["bob"])
        assert (rows["bob"]["processes"], rows["bob"]["queued"]) == (0, 1)
        assert "nobody" in rows["carl"]["fault"]
        assert found["groups"] == [{"name": "writers", "members": ["bob"]}]
        assert found["scheduler"] == {"processes": 0, "schedules": 1}
        assert [(it["kind"], it["agent"], it["count"]) for it in found["attention"]] == [
            ("fault", "carl", 1),
            ("no_process", "bob", 1),
            ("no_scheduler", None, 1),
            ("dead_letters", None, 1),
        ]
        assert found["attention"][1]["sentence"] == "No process of bob runs: 1 task waits."
        assert len(found["minutes"]) == 60
        done = [it for it in found["minutes"] if it["tasks"]]
        assert sum(it["tasks"] for it in done) == 1
        assert sum(it["model_calls"] for it in done) == 1
        assert sum(it["tokens"] for it in done) > 1
        assert done[0]["cost"] is None, "the scripted model has no price"
        status = (await http.get("/api/status")).json()
        assert status["dead_letters"] == 1
        assert len(status["dead_letters_by_reason"]) == 1


async def test_an_agent_is_shown_with_its_file_tools_and_advice_and_can_be_paused(
    address: str,
) -> None:
    async with client(address) as http:
        alice = (await http.get("/api/agents/alice")).json()
        assert "workers: [bob]" in alice.get("definition", ""), alice
        assert alice["tools"] == [
            {"name": "weekday", "description": "The day of the week of a date."}
        ]
        assert any("alice has no description" in it for it in alice["advice"])
        assert not any("bob has no description" in it for it in alice["advice"])
        bob = (await http.get("/api/agents/bob")).json()
        [schedule] = bob["schedules"]
        assert (schedule["expression"], len(schedule["next_at"])) == ("every 1d", 5)
        assert (await http.get("/api/agents/nobody")).status_code == 404
        assert (await http.post("/api/agents/nobody/pause")).status_code == 404
        for name in ("alice", "all"):
            paused = (await http.post(f"/api/agents/{name}/pause")).json()
            assert paused == {"agent": name, "paused": True, "all_paused": name == "all"}
        found = (await http.get("/api/overview")).json()
        assert [it["agent"] for it in found["attention"] if it["kind"] == "paused"] == [
            "alice",
            "bob",
            "carl",
        ]
        await http.post("/api/agents/alice/unpause")
        assert (await http.post("/api/agents/all/unpause")).json()["paused"] is False


async def test_a_schedule_is_run_now_once_for_each_key_and_by_its_rule_for_overlaps(
    address: str, system: System
) -> None:
    async with client(address) as http:
        sent = await http.post("/api/schedules/bob/plan/run", headers={"Idempotency-Key": "k1"})
        assert sent.status_code == 202, sent.text
        again = await http.post("/api/schedules/bob/plan/run", headers={"Idempotency-Key": "k1"})
        assert again.json() == sent.json()
        refused = await http.post("/api/schedules/bob/plan/run")
        assert refused.status_code == 409
        assert "bob.plan skips ticks then" in refused.json()["detail"]
        assert (await http.post("/api/schedules/bob/nope/run")).status_code == 404
        system.agents("bob")
        run = sent.json()["run_id"]
        until(lambda: "response: ok" in system.hutch("show", run).stdout)
        [schedule] = (await http.get("/api/schedules")).json()["schedules"]
        assert (schedule["last"]["run_id"], schedule["last"]["status"]) == (run, "ok")
        assert schedule["last"]["outcome"] == "sent"
        assert (await http.post("/api/schedules/bob/plan/run")).status_code == 202


async def test_dead_letters_are_listed_filtered_shown_replayed_and_dropped(
    address: str, pika: Client
) -> None:
    for number in range(4):
        pika.ask("dora", {"content": f"Number {number}", "id": f"lost-{number}"})
    pika.ask("alice", b'{"content": "[bold]x", "schema": 9}', message_id="m-9")
    async with client(address) as http:
        every = (await http.get("/api/dead-letters")).json()
        assert (every["total"], every["next"]) == (5, None)
        first = every["dead_letters"][0]
        assert (first["agent"], first["kind"], first["task_id"]) == ("alice", "", "m-9")
        found = (await http.get("/api/dead-letters", params={"agent": "dora", "limit": 3})).json()
        assert (found["total"], len(found["dead_letters"])) == (4, 3)
        assert found["dead_letters"][0]["text"] == "Number 3"
        rest = await http.get(
            "/api/dead-letters", params={"agent": "dora", "before": found["next"]}
        )
        assert [it["text"] for it in rest.json()["dead_letters"]] == ["Number 0"]
        searched = await http.get("/api/dead-letters", params={"q": "number 2"})
        [two] = searched.json()["dead_letters"]
        shown = (await http.get(f"/api/dead-letters/{two['id']}")).json()
        assert '"Number 2"' in shown["message"]
        assert [it["action"] for it in shown["remedies"]] == ["replay", "drop"]
        assert (await http.get("/api/dead-letters/beef")).status_code == 404
        dropped = await http.post("/api/dead-letters/drop", json={"ids": [two["id"]]})
        assert dropped.json() == {"done": 1, "failed": []}
        replayed = await http.post("/api/dead-letters/replay", json={"agent": "dora"})
        assert replayed.json() == {"done": 3, "failed": []}
        for body in ({}, {"all": True, "agent": "dora"}, {"tool_done": "x", "all": True}):
            assert (await http.post("/api/dead-letters/replay", json=body)).status_code == 422
        far = {"until": "2020-01-01T00:00:00Z"}
        assert (await http.post("/api/dead-letters/drop", json=far)).json()["done"] == 0
        actions = [it["action"] for it in (await http.get("/api/audit")).json()["rows"]]
        assert actions == ["dead_letter.replay"] * 3 + ["dead_letter.drop"]
