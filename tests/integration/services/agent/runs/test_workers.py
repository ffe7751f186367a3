"""A manager and its workers, each a process of its own."""

import time
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System

EMAIL = "Ask Bob to write an email for you and let me know what he has written."


def results(asked: Asked) -> list[str]:
    """The results of its calls that the model was last shown, in order."""
    last = [request for request in asked() if request["messages"][-1]["role"] == "tool"][-1]
    return results_in(last)


@pytest.mark.essential
def test_alice_asks_bob_and_answers_with_his_text(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob", "alice")
    reply = pika.ask("alice", EMAIL)
    assert reply.status == "ok"
    assert "Bob" in reply.content
    assert reply.body["model"] == "scripted"
    assert reply.body["usage"]["model_calls"] == 3
    of_alice, of_bob, again = asked()
    assert of_alice["tools"] == ["bob"]
    assert of_bob["tools"] == []
    assert again["messages"][-1]["role"] == "tool"
    assert results_in(again)[-1] in reply.content


def test_workers_run_side_by_side_and_their_results_stand_in_call_order(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, boss="workers: [ann, ben, cy]", ann="", ben="", cy="")
    system.agents("ann", "ben", "cy", "boss")
    pika.ask("boss", '[[call ann {"prompt": "[[reply warm]]"}]]')
    began = time.monotonic()
    reply = pika.ask(
        "boss",
        '[[call ann {"prompt": "[[latency 2]][[reply first]]"}]]'
        '[[call ben {"prompt": "[[latency 1]][[refuse]]"}]]'
        '[[call cy {"prompt": "[[latency 2]][[reply third]]"}]]',
    )
    took_s = time.monotonic() - began
    assert reply.status == "ok"
    first, second, third = results(asked)
    assert (first, third) == ("first", "third")
    assert second.startswith("ben did not answer: refused")
    assert took_s < 4.9, "one after the other they take 5 s"


def test_a_worker_may_be_a_manager(system: System, pika: Client, agents: Path) -> None:
    define(agents, system, top="workers: [mid]", mid="workers: [low]", low="")
    system.agents("low", "mid", "top")
    order = '[[call mid {"prompt": "[[call low {\\"prompt\\": \\"[[reply from below]]\\"}]]"}]]'
    reply = pika.ask("top", order)
    assert reply.status == "ok"
    assert reply.body["usage"]["model_calls"] == 5


def test_a_manager_that_only_waits_holds_no_slot(
    system: System, pika: Client, agents: Path
) -> None:
    define(agents, system, boss="workers: [ann]\nlimits: {concurrency: 1}", ann="")
    system.agents("ann", "boss")
    pika.ask("boss", '[[call ann {"prompt": "[[reply warm]]"}]]')
    began = time.monotonic()
    for _ in range(4):
        pika.send("boss", '[[call ann {"prompt": "[[latency 2]]go"}]]')
    assert [reply.status for reply in pika.replies(4)] == ["ok"] * 4
    assert time.monotonic() - began < 7.9, "one after the other they take 8 s"


def test_a_worker_that_is_not_there_yet_is_waited_for(system: System, pika: Client) -> None:
    system.agents("alice")
    call = pika.send("alice", EMAIL)
    system.agents("bob")
    reply = pika.reply()
    assert (reply.correlation_id, reply.status) == (call, "ok")


def test_replicas_share_the_work(system: System, pika: Client) -> None:
    bobs = system.agents("bob", "bob", "bob")
    for _ in range(30):
        pika.send("bob", "[[latency 0.5]]Write.")
    assert {reply.status for reply in pika.replies(30)} == {"ok"}
    shares = [bob.output.count('"run ended"') for bob in bobs]
    assert sum(shares) == 30
    assert min(shares) >= 6, shares


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (["bob", "alice"], "a cycle of calls: bob -> alice -> bob"),
        (["a", "b", "c", "d"], "bob takes chains of at most 4 agents: a -> b -> c -> d -> bob"),
        (["a"] * 65, "task.path: expected a list of at most 64"),
    ],
)
@pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
def test_a_limit_of_the_path_is_an_answer(
    system: System, pika: Client, path: list[str], said: str
) -> None:
    system.agents("bob")
    reply = pika.ask("bob", {"id": "t", "content": "Write.", "path": path})
    assert (reply.status, reply.content) == ("refused", said)


def test_a_chain_that_is_too_deep_is_refused_and_the_manager_continues(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, boss="workers: [ann]", ann="limits: {depth: 1}")
    system.agents("ann", "boss")
    assert pika.ask("boss", '[[call ann {"prompt": "go"}]]').status == "ok"
    assert "ann takes chains of at most 1 agents: boss -> ann" in results(asked)[0]
