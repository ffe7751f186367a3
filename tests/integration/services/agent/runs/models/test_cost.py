"""A budget with a cost, shared by a manager and its worker in processes of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import calling, define
from tests.support.processes.running import System

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

TASK = {"content": calling("bob", "Write."), "budget": {"cost": 1.0}}
PRICED = '{"scripted": {"input": 100, "output": 100}}'


def test_a_managers_response_has_the_cost_of_its_whole_tree(
    system: System, agents: Path, pika: Client
) -> None:
    define(agents, system, alice="workers: [bob]", bob="preamble: You are Bob.")
    system.env["HUTCH_PRICES"] = PRICED
    system.agents("alice", "bob")
    pika.send("alice", TASK | {"id": "t1"})
    reply = pika.reply()
    usage = reply.body["usage"]
    assert (reply.status, usage["model_calls"]) == ("ok", 3)
    tokens = usage["input_tokens"] + usage["output_tokens"]
    assert usage["cost"] == pytest.approx(tokens / 10_000)
    shown = json.loads(system.hutch("show", "t1", "--json").stdout)
    assert shown["cost"]["in_all"]["usd"] == pytest.approx(usage["cost"])
    assert 0 < shown["cost"]["runs"][shown["run"]["run_id"]]["usd"] < usage["cost"]


def test_a_worker_whose_price_is_unknown_is_refused_and_its_manager_goes_on(
    system: System, agents: Path, pika: Client
) -> None:
    define(agents, system, alice="workers: [bob]", bob="model: other")
    system.env["HUTCH_PRICES"] = PRICED
    system.agents("alice", "bob")
    pika.send("alice", TASK | {"id": "t1"})
    assert pika.reply().status == "ok"
    shown = system.hutch("show", "t1").stdout
    assert "bob did not answer: refused: not begun: its budget has a cost" in shown
    assert "'other' is not known" in shown
