"""One budget for a manager and all its workers, counted at the model server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.client import Client, Reply
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked, forget
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.long

BUSY = '[[call low {"prompt": "go"}]][[again]]'
"""Spends what it gets: a call of its own and one of its worker's, turn after turn."""


def tree(agents: Path, system: System) -> Child:
    """A boss over three workers that share a fourth."""
    three = dict.fromkeys(("ann", "ben", "cy"), "workers: [low]")
    define(agents, system, boss="workers: [ann, ben, cy]", low="", **three)
    *_, boss = system.agents("low", "ann", "ben", "cy", "boss")
    return boss


def call(worker: str, prompt: str) -> str:
    return f"[[call {worker} {json.dumps({'prompt': prompt})}]]"


def ask(pika: Client, content: str, **budget: int) -> Reply:
    return pika.ask(
        "boss", {"content": content, "id": f"t-{sum(budget.values())}", "budget": budget}
    )


@pytest.mark.essential
@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_three_parallel_workers_never_spend_more_calls_than_there_are(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    tree(agents, system)
    all_three = call("ann", BUSY) + call("ben", BUSY) + call("cy", BUSY) + "[[again]]"
    for most in (1, 2, 4, 11, 26):
        forget(system)
        reply = ask(pika, all_three, model_calls=most)
        assert reply.status == "partial"
        assert reply.body["usage"]["model_calls"] == len(asked()) <= most
        assert len(asked()) > most / 2, "most of it is of use"


def test_a_manager_that_is_killed_asks_its_workers_with_the_same_shares(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    boss = tree(agents, system)
    slow = "[[latency 2]]" + BUSY
    body = {
        "content": call("ann", slow) + call("ben", slow),
        "id": "t",
        "budget": {"model_calls": 7},
    }
    pika.send("boss", body)
    until(lambda: len(asked()) >= 3)
    boss.kill()
    system.agents("boss")
    reply = pika.reply()
    assert reply.status == "partial"
    assert reply.body["usage"]["model_calls"] == len(asked()) == 7
    assert "refused" not in json.dumps(asked()), "the same id was the same task"


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_replies_are_limited_to_the_tokens_that_are_left_and_the_rest_is_reported(
    system: System, agents: Path, asked: Asked
) -> None:
    tree(agents, system)
    order = call("ann", f"[[reply {'word ' * 400}]]")
    said = system.hutch("ask", "boss", order, "--id", "t", "--tokens", "2000")
    limits = [request["limit"] for request in asked()]
    assert limits[0] == 2000
    assert all(limit < 2000 for limit in limits[1:])
    spent = json.loads(system.hutch("ask", "boss", order, "--id", "t", "--json").stdout)["usage"]
    tokens = spent["input_tokens"] + spent["output_tokens"]
    assert f"spent {tokens} of 2000 tokens" in said.stderr
    assert ("more than the budget" in said.stderr) == (tokens > 2000)
    shown = system.hutch("show", "t").stdout
    assert "budget: 2000 tokens" in shown
    assert f"spent {tokens} of 2000 tokens" in shown


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_a_prompt_that_exceeds_the_budget_costs_one_call_and_is_reported(
    system: System, agents: Path, asked: Asked
) -> None:
    boss = tree(agents, system)
    said = system.hutch("ask", "boss", call("ann", "go") + "x" * 400, "--tokens", "20")
    assert said.stdout == "the budget of 20 tokens is spent\n"
    assert "of 20 tokens: more than the budget" in said.stderr
    assert len(asked()) == 1
    boss.wait_for("budget overshot")


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_the_usage_of_a_worker_without_an_answer_is_counted(
    system: System, pika: Client, agents: Path
) -> None:
    slow = "workers: [low]\nlimits: {timeout: 4s}"
    define(agents, system, boss="workers: [ann, ben]", ann=slow, ben="", low="")
    system.agents("low", "ann", "ben", "boss")
    late = call("ann", '[[call low {"prompt": "go"}]][[then]][[latency 30]]')
    reply = ask(pika, late + call("ben", "[[refuse]]"), model_calls=20)
    assert reply.status == "ok"
    assert reply.body["usage"]["model_calls"] == 5, "two of its own, Ben's, Ann's first and Low's"


@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_a_task_that_comes_without_means_is_answered_and_not_run(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, boss="")
    system.agents("boss")
    reply = ask(pika, "Hello", model_calls=0)
    assert (reply.status, reply.content) == ("refused", "not begun: its budget is spent")
    assert asked() == []
