"""The timeline of real runs: what the gateway shows of a process that was killed."""

from __future__ import annotations

import re
import time
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from shared.store.processes.heartbeats import DEAD_AFTER_S
from tests.support.client import Client
from tests.support.gateway import gateway
from tests.support.processes.agents import ASK
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

STORES = ["sqlite"]


def sent(client: Client, agent: str, content: str) -> str:
    """The id of the task."""
    task = uuid4().hex
    client.send(agent, {"content": content, "id": task})
    return task


def got(address: str, path: str) -> Any:
    found = httpx2.get(f"{address}{path}", timeout=60)
    assert found.status_code == 200, found.text
    return found.json()


def kinds(run: dict[str, Any]) -> list[str]:
    return [it["kind"] for it in run["bars"]]


@pytest.mark.essential
def test_a_takeover_shows_the_dead_process_and_the_new_owner(
    system: System, pika: Client, asked: Asked
) -> None:
    both = system.agents("bob", "bob")
    _, address = gateway(system)
    task = sent(pika, "bob", "[[latency 10]]Write.")
    until(lambda: len(asked()) == 1)
    began = time.monotonic()
    until(lambda: time.monotonic() > began + DEAD_AFTER_S)  # so that the lost call has a length
    running = got(address, f"/api/runs/{task}/tree")["runs"][0]
    assert kinds(running)[-1] == "model"
    assert running["bars"][-1]["to"] is None
    owner, replica = sorted(both, key=lambda bob: "run started" not in bob.output)
    owner.kill()
    assert pika.reply().status == "ok"
    replica.wait_for("run taken over")
    (run,) = got(address, f"/api/runs/{task}/tree")["runs"]
    assert [it for it in kinds(run) if it != "queued"] == ["model", "dead", "resumed", "model"]
    lost, dead, resumed, model = run["bars"][-4:]
    assert (lost["instance"], lost["reason"]) == (dead["instance"], f"{dead['instance']} has died")
    assert dead["instance"] == running["owner"]
    assert dead["reason"] == f"taken over by {resumed['instance']}"
    assert model["instance"] == resumed["instance"] != dead["instance"]
    assert lost["from"] <= lost["to"] <= dead["from"] <= dead["to"] <= model["from"]
    view = got(address, f"/api/runs/{task}")
    assert re.fullmatch(
        r"Answered after \d+\.\d s by bob: 1 model call, [\d,]+ tokens\.", view["outcome"]
    )


def test_a_manager_and_its_worker_are_one_tree_whose_steps_can_be_read(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob", "alice")
    _, address = gateway(system)
    task = sent(pika, "alice", ASK)
    assert pika.reply().status == "ok"
    tree = got(address, f"/api/runs/{task}/tree")
    alice, bob = tree["runs"]
    assert tree["steps_total"] == 4
    assert [it for it in kinds(alice) if it != "queued"] == ["model", "worker", "model"]
    (worker,) = [it for it in alice["bars"] if it["kind"] == "worker"]
    assert (worker["name"], worker["child_run_id"]) == ("bob", bob["run_id"])
    assert bob["parent_run_id"] == alice["run_id"]
    inside = [it for it in bob["bars"] if it["kind"] == "model"]
    assert worker["from"] <= inside[0]["from"]
    assert inside[-1]["to"] <= worker["to"]
    place = "/".join(str(worker["step"][it]) for it in ("epoch", "turn", "position"))
    step = got(address, f"/api/runs/{alice['run_id']}/steps/{place}")
    assert step["input"]["prompt"]
    assert step["output"]["content"]
    assert step["seconds"] > 0
    listed = got(address, f"/api/runs?q={bob['run_id'][:12]}")
    assert [it["run_id"] for it in listed["runs"]] == [bob["run_id"]]


def test_a_run_is_cancelled_by_its_id(system: System, pika: Client, asked: Asked) -> None:
    system.agents("bob")
    _, address = gateway(system)
    task = sent(pika, "bob", "[[latency 30]]Write.")
    until(lambda: len(asked()) == 1)
    run_id = httpx2.get(f"{address}/api/runs/{task}", timeout=60).json()["run_id"]
    short = httpx2.post(f"{address}/api/runs/{run_id[:7]}/cancel", timeout=60)
    assert short.json()["detail"].endswith("to cancel it, send at least 8 characters")
    found = httpx2.post(f"{address}/api/runs/{task}/cancel", timeout=60)
    assert found.status_code == 202
    assert pika.reply().status == "cancelled"
    assert got(address, f"/api/runs/{task}")["outcome"].startswith("Cancelled after ")
