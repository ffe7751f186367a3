"""`hutch dead` against real agents and real dead letters, on brokers of every version."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.clerk import LONG_S, Clerk, call, dead_letters, define
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import PATIENCE_S, System, until
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.long

KILLED_BEFORE_THE_ACK = """
import os, signal
from shared.broker.consumer import Delivery
Delivery.ack = lambda self: os.kill(os.getpid(), signal.SIGKILL)
from services.cli.__main__ import main
main()
"""
"""The command line, killed after it has replayed a dead letter and before it removes it."""


def killed(system: System, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_BEFORE_THE_ACK, *arguments],
        env=system.env,
        cwd=REPOSITORY,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == -9, done.stderr


@pytest.fixture
def clerk(system: System, agents: Path) -> Clerk:
    return define(system, agents)


@pytest.fixture
def in_doubt(system: System, pika: Client, clerk: Clerk) -> str:
    """The id of the dead letter of a run whose call of `pay` was cut off; a clerk runs."""
    [first] = system.agents("clerk")
    pika.send("clerk", {"id": "bill-7", "content": call("pay", LONG_S)}, correlation_id="c-7")
    until(lambda: clerk.effects)
    first.kill()
    system.agents("clerk")
    assert pika.reply().status == "failed"
    (dead_letter,) = dead_letters(system)
    return str(dead_letter["id"])


def test_without_dead_letters_each_command_prints_one_sentence(system: System) -> None:
    assert system.hutch("dead", "list").stdout == "no dead letters\n"
    assert system.hutch("dead", "replay", "--all").stdout == "no such dead letter\n"
    shown = system.hutch("dead", "show", "beef")
    assert (shown.returncode, shown.stderr) == (
        1,
        "hutch: no dead letter has the id 'beef': 'hutch dead list' lists them\n",
    )
    which = system.hutch("dead", "drop")
    assert which.returncode == 2
    assert "name one, or give --agent, --reason or --all" in which.stderr


def test_dead_letters_are_listed_and_shown_as_they_are(system: System, pika: Client) -> None:
    system.agents("bob")
    bad = '{"content": "[bold]x", "schema": 9}'
    pika.ask("bob", bad.encode(), app_id="a-shop", message_id="order-7")
    pika.ask("alcie", "Hello?")
    mine, other = dead_letters(system)
    assert (mine["agent"], mine["queue"], mine["message_id"]) == ("bob", "agent.bob", "order-7")
    assert (mine["sender"], mine["attempts"], mine["body"]) == ("a-shop", 1, bad)
    assert mine["first"] == mine["last"]
    assert mine["last"]["at"] is not None
    assert (other["agent"], other["queue"]) == ("alcie", "unrouted")
    assert [dead_letter["id"] for dead_letter in dead_letters(system, "--agent", "alcie")] == [
        other["id"]
    ]
    assert [
        dead_letter["id"] for dead_letter in dead_letters(system, "--reason", "EXPECTED 1")
    ] == [mine["id"]]
    assert dead_letters(system, "--agent", "bob", "--reason", "no agent") == []

    table = system.hutch("dead", "list").stdout.splitlines()
    assert len(table) == 3
    assert mine["id"][:12] in table[1]
    shown = system.hutch("dead", "show", mine["id"][:8]).stdout
    assert "task.schema: expected 1" in shown
    assert "sender: a-shop\n" in shown
    assert '"content": "[bold]x",\n' in shown
    assert pika.queue in shown
    assert f"hutch dead replay {mine['id']}  # when the reason is gone: it is sent again" in shown


@pytest.mark.essential
def test_a_message_that_failed_for_a_reason_that_is_gone_is_run_once(
    system: System, pika: Client, clerk: Clerk, asked: Asked, agents: Path
) -> None:
    system.agents("clerk")
    pika.ask("dora", {"id": "for-dora", "content": "Hello"})
    (agents / "dora.yaml").write_text("name: dora", "utf-8")
    system.agents("dora")
    killed(system, "dead", "replay", "--agent", "dora")
    (dead_letter,) = dead_letters(system)
    replayed = system.hutch("dead", "replay", "--agent", "dora")
    named = f"replay.{dead_letter['id']}"
    assert replayed.stdout == f"{dead_letter['id']}: sent to dora again, as {named}\n"
    first, second = pika.replies(2)
    assert (first.status, first.body["task_id"]) == ("ok", "for-dora")
    assert second.body == first.body
    assert second.message_id == first.message_id
    assert len(asked()) == 1
    assert dead_letters(system) == []


def test_a_hopeless_message_comes_back_and_remembers_how_it_failed_first(
    system: System, pika: Client
) -> None:
    system.agents("bob")
    pika.ask("bob", b'{"content": ')
    (before,) = dead_letters(system)
    assert system.hutch("dead", "replay", before["id"]).returncode == 0
    assert pika.reply().status == "refused"
    until(lambda: len(dead_letters(system)) == 1)
    (after,) = dead_letters(system)
    assert after["id"] != before["id"]
    assert after["last"]["reason"] == before["last"]["reason"]
    assert after["first"] == before["first"]
    assert (after["body"], after["reply_to"]) == (before["body"], before["reply_to"])


def given_up(pika: Client) -> bool:
    """Bob's mailbox loses its consumer once more, as when a process dies before its claim."""
    method, _, _ = pika.channel.basic_get("agent.bob")
    if method is not None:
        pika.channel.basic_nack(method.delivery_tag or 0, requeue=True)
    return pika.channel.queue_declare("dead", passive=True).method.message_count > 0


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_a_task_that_has_run_is_no_dead_letter_though_the_broker_gave_it_up(
    system: System, pika: Client, asked: Asked, command: str
) -> None:
    [bob] = system.agents("bob")
    task = {"id": "t-1", "content": "Hello"}
    assert pika.ask("bob", task).status == "ok"
    assert bob.end() == 0
    pika.send("bob", task)
    pika.send("bob", task | {"content": "Other"})
    until(lambda: given_up(pika) and len(dead_letters(system)) == 2)
    ran, other = sorted(dead_letters(system), key=lambda it: str(it["ran"]), reverse=True)
    assert (ran["ran"], other["ran"]) == ("ok", None)
    said = "not a dead letter: its task has a run (ok), only its ack was lost"
    assert said in system.hutch("dead", "list").stdout
    assert said in system.hutch("dead", "show", ran["id"]).stdout
    assert system.hutch("dead", command, ran["id"]).returncode == 0
    assert [it["id"] for it in dead_letters(system)] == [other["id"]]
    assert pika.channel.queue_declare("agent.bob", passive=True).method.message_count == 0
    assert len(asked()) == 1


def test_a_message_that_the_broker_gave_up_is_shown_and_replayed(
    system: System, pika: Client, asked: Asked
) -> None:
    [bob] = system.agents("bob")
    assert bob.end() == 0
    pika.send("bob", {"id": "poison", "content": "Hello"}, message_id="m-1")

    until(lambda: given_up(pika))
    (dead_letter,) = dead_letters(system)
    assert (dead_letter["agent"], dead_letter["queue"], dead_letter["message_id"]) == (
        "bob",
        "agent.bob",
        "m-1",
    )
    assert "processes died on it, or lost their connections" in dead_letter["last"]["reason"]
    assert dead_letter["ran"] is None
    assert dead_letter["last"]["at"] is not None
    assert dead_letters(system)[0]["id"] == dead_letter["id"]
    assert system.hutch("dead", "replay", "--reason", "delivery limit").returncode == 0
    system.agents("bob")
    assert pika.reply().status == "ok"
    assert len(asked()) == 1


def test_dropping_several_asks_first(system: System, pika: Client) -> None:
    system.agents("bob")
    for body in (b"{", b"{}", b"\xff"):
        pika.ask("bob", body)
    asking = [sys.executable, "-m", "services.cli", "dead", "drop", "--all"]
    refused = subprocess.run(
        asking, env=system.env, cwd=REPOSITORY, input="n\n", capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "drop 3 dead letters for good?" in refused.stdout
    one, *_ = dead_letters(system)
    assert system.hutch("dead", "drop", one["id"]).stdout == "dropped 1 dead letter\n"
    assert system.hutch("dead", "drop", "--all", "--yes").stdout == "dropped 2 dead letters\n"
    assert dead_letters(system) == []


def test_a_run_in_doubt_is_shown_with_what_to_type(system: System, in_doubt: str) -> None:
    commands = (
        f"hutch dead replay {in_doubt} --tool-done RESULT  # pay has acted, with this result\n"
        f"hutch dead replay {in_doubt} --tool-again        # it has not acted: call it once more\n"
        f"hutch dead drop {in_doubt}                       # give it up\n"
    )
    shown = system.hutch("show", "bill-7").stdout
    assert shown.endswith(f"\nnext: it is a dead letter\nhutch dead show {in_doubt}\n{commands}")
    by_task = system.hutch("dead", "show", "bill-7").stdout
    assert by_task.startswith(f"dead letter {in_doubt}, for clerk\n")
    assert by_task.endswith(f"\nnext\n{commands}")
    advised = system.hutch("doctor").stdout
    assert "1 dead letter waits for a decision\n  do: 'hutch dead list' has the reasons" in advised


def test_a_run_in_doubt_needs_a_decision(system: System, in_doubt: str) -> None:
    said = system.hutch("dead", "replay", in_doubt)
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "called pay, and whether it has acted is unknown: add --tool-done" in said.stderr
    assert [dead_letter["id"] for dead_letter in dead_letters(system)] == [in_doubt]


def test_a_result_that_the_operator_knows_is_the_tools(
    system: System, pika: Client, asked: Asked, clerk: Clerk, in_doubt: str
) -> None:
    killed(system, "dead", "replay", in_doubt, "--tool-done", "paid, says the bank")
    reply = pika.reply()
    assert (reply.status, reply.correlation_id) == ("ok", "c-7")
    assert reply.message_id.endswith(".2.response")
    assert results_in(asked()[-1])[-1] == "paid, says the bank"
    assert clerk.effects == ["7"]
    assert len(asked()) == 2, "the first model call is kept"
    again = system.hutch("dead", "replay", in_doubt, "--tool-done", "paid twice")
    assert again.stdout == f"{in_doubt}: the run had been replayed before\n"
    assert dead_letters(system) == []
    stored = pika.ask("clerk", {"id": "bill-7", "content": call("pay", LONG_S)})
    assert (stored.body, stored.message_id) == (reply.body, reply.message_id)
    assert json.loads(system.hutch("show", "bill-7", "--json").stdout)["run"]["status"] == "ok"


def test_a_tool_may_be_called_once_more(
    system: System, pika: Client, clerk: Clerk, in_doubt: str
) -> None:
    tools = Path(system.env["HUTCH_AGENTS"]) / "tools" / "orders.py"
    tools.write_text(tools.read_text("utf-8").replace("time.sleep(seconds)", ""), "utf-8")
    system.hutch("shutdown", "clerk")
    assert system.hutch("dead", "replay", in_doubt[:10], "--tool-again").returncode == 0
    system.agents("clerk")
    assert pika.reply().status == "ok"
    assert clerk.effects == ["7", "7"]
    assert dead_letters(system) == []


def test_the_work_that_a_worker_did_meanwhile_is_not_paid_again(
    system: System, pika: Client, asked: Asked, clerk: Clerk
) -> None:
    first, helper = system.agents("clerk", "helper")
    help_me = '[[call helper {"prompt": "[[latency 2]][[reply helped]]"}]]'
    pika.send("clerk", {"id": "bill-8", "content": call("pay", LONG_S) + help_me})
    until(lambda: clerk.effects and len(asked()) == 2)
    first.kill()
    helper.wait_for("run ended")
    system.agents("clerk")
    assert pika.reply().status == "failed"
    (dead_letter,) = dead_letters(system)
    assert system.hutch("dead", "replay", dead_letter["id"], "--tool-done", "paid").returncode == 0
    assert pika.reply().status == "ok"
    assert results_in(asked()[-1])[-2:] == ["paid", "helped"]
    assert len(asked()) == 3
