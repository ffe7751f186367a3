"""Conversations: what runs of one session share, and what keeps them apart."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.contract.prompts import undated
from tests.support.client import Client
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

pytestmark = pytest.mark.long

on_one_broker = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")


def task(task_id: str, content: str, session: str | None = "s1", **more: Any) -> dict[str, Any]:
    return {"id": task_id, "content": content, **({"session": session} if session else {}), **more}


def talk(request: dict[str, Any]) -> list[str]:
    """The messages that the model was shown, without the system message and the time."""
    return [undated(said["content"]) for said in request["messages"] if said["role"] != "system"]


@pytest.mark.essential
@on_one_broker
def test_a_session_remembers_and_another_does_not(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob", "bob")
    pika.ask("bob", task("t1", "[[reply Noted.]]I am Ann."))
    pika.ask("bob", task("t2", "[[reply Ann.]]Who am I?"))
    pika.ask("bob", task("t3", "Who am I?", "s2"))
    pika.ask("bob", task("t4", "Who am I?", None))
    first, second, elsewhere, outside = map(talk, asked())
    assert second == [first[0], "Noted.", "[[reply Ann.]]Who am I?"]
    assert elsewhere == outside == ["Who am I?"]
    again = pika.ask("bob", task("t2", "[[reply Ann.]]Who am I?"))
    assert (again.content, len(asked())) == ("Ann.", 4)


def test_a_sessions_runs_go_one_at_a_time_in_claim_order_on_any_replica(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob", "bob")
    for number in range(6):
        pika.send("bob", task(f"t{number}", f"[[latency 0.4]][[reply answer {number}]]"))
    replies = pika.replies(6)
    assert [reply.status for reply in replies] == ["ok"] * 6
    in_order = [reply.body["task_id"] for reply in replies]
    shown = [[said for said in talk(request) if said.startswith("answer")] for request in asked()]
    answers = [f"answer {task_id[1:]}" for task_id in in_order]
    assert shown == [answers[:number] for number in range(6)]


@on_one_broker
def test_runs_that_wait_for_their_turn_hold_no_slot(
    system: System, pika: Client, agents: Path, asked: Asked
) -> None:
    define(agents, system, ann="limits: {concurrency: 2}")
    system.agents("ann")
    for number in range(5):
        pika.send("ann", task(f"t{number}", "[[latency 60]]"))
    until(lambda: len(asked()) == 1)
    assert pika.ask("ann", task("quick", "[[reply here]]", None)).content == "here"
    assert [request["status"] for request in asked()] == [None, 200], "the first is still at it"


def test_the_next_waits_until_a_killed_owners_run_has_ended(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    pika.send("bob", task("t1", "[[latency 4]][[reply first]]"))
    until(lambda: len(asked()) == 1)
    pika.send("bob", task("t2", "[[reply second]]"))
    until(lambda: "t2" in system.hutch("runs").stdout)
    bob.kill()
    system.agents("bob")
    assert [pika.reply().content for _ in range(2)] == ["first", "second"]
    assert "first" in talk(asked()[-1])


@on_one_broker
def test_a_deadline_ends_the_wait_for_a_turn(system: System, pika: Client, asked: Asked) -> None:
    system.agents("bob")
    pika.send("bob", task("t1", "[[latency 12]][[reply first]]"))
    until(lambda: len(asked()) == 1)
    soon = datetime.now(UTC) + timedelta(seconds=1)
    late = pika.ask("bob", task("t2", "Late.", deadline=soon.isoformat()))
    assert (late.status, late.content) == ("timeout", "its deadline had passed before it could run")
    assert asked()[0]["status"] is None, "the first is still at it"
    third = pika.send("bob", task("t3", "[[reply third]]"))
    while pika.reply().correlation_id != third:
        pass
    assert talk(asked()[-1])[1:] == ["first", "[[reply third]]"]
    assert len(asked()) == 2


@on_one_broker
def test_a_session_neither_broadcasts_nor_sees_notes_and_nor_do_its_workers(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, ann="swarm: s\nworkers: [ben]", ben="swarm: s", cy="swarm: s")
    *_, cy = system.agents("ann", "ben", "cy")
    pika.ask("ann", task("t0", "[[reply public]]", None))
    cy.wait_for("note stored")
    secret = json.dumps({"prompt": "[[reply secret]]"})
    assert pika.ask("ann", task("t1", f"[[call ben {secret}]]")).status == "ok"
    pika.ask("ben", task("t2", "[[reply shout]]", None))
    until(lambda: cy.output.count('"note stored"') == 2)
    pika.ask("cy", task("t3", "Hello", None))
    seen = asked()[-1]["messages"][0]["content"]
    assert "From ann: public" in seen
    assert "From ben: shout" in seen
    assert "secret" not in seen
    of_ben = next(request for request in asked() if talk(request) == ["[[reply secret]]"])
    assert "public" not in json.dumps(of_ben)


@on_one_broker
def test_send_and_ask_continue_with_one_conversation(system: System, asked: Asked) -> None:
    system.agents("bob")
    sent = system.hutch("send", "bob", "[[reply Noted.]]I am Ann.", "--session", "s1")
    system.hutch("ask", "bob", "Who am I?", "--session", "s1", "--model-calls", "1")
    assert talk(asked()[1]) == [*talk(asked()[0]), "Noted.", "Who am I?"]
    shown = system.hutch("show", sent.stdout.strip()).stdout
    assert "session s1" in shown
    wrong = system.hutch("ask", "bob", "Hello", "--session", "not one word")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("hutch: session: ")


@on_one_broker
def test_forget_deletes_a_session_and_refuses_while_it_is_open(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, ann="workers: [ben]", ben="")
    system.agents("ann", "ben")
    pika.send("ben", task("t0", "[[latency 60]]", "s0"))
    until(lambda: len(asked()) == 1)
    refused = system.hutch("forget", "s0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("hutch: session 's0' has 1 open runs (t0 of ben): wait")

    order = ["ask", "ann", '[[call ben {"prompt": "go"}]]', "--session", "s1", "--id", "t1"]
    assert system.hutch(*order).returncode == 0
    assert "session s1" in system.hutch("show", "t1").stdout
    assert system.hutch("forget", "s1").stdout == "forgot 2 runs of session 's1'\n"
    assert system.hutch("show", "t1").returncode == 1
    again = system.hutch("forget", "s1")
    assert again.stdout == "forgot 0 runs of session 's1'\n"
    assert again.stderr.startswith("it has none in the store ")
    assert system.hutch(*order).returncode == 0
    assert len(asked()) == 1 + 3 + 3, "a forgotten task runs again"
