"""Calls that a person must approve: runs are parked, and go on after the decision, anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client
from tests.support.processes.agents import define, states
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System, until

PAY = '''
import os
from pathlib import Path


def pay(order: int, amount: float) -> str:
    """Pay an order."""
    with (Path(os.environ["PAID"])).open("a") as paid:
        paid.write(f"{order}: {amount}\\n")
    return f"paid {amount} for order {order}"
'''
RULE = "approval: {when: amount > 100}"
SMALL = '[[call pay {"order": 1, "amount": 5}]][[then]][[reply paid]]'
LARGE = '[[call pay {"order": 2, "amount": 150}]][[then]][[reply paid]]'


@pytest.fixture
def paid(system: System, agents: Path, tmp_path: Path) -> Path:
    """A clerk whose tool writes to this file, and asks for approval of amounts above 100."""
    (agents / "tools").mkdir()
    (agents / "tools" / "pay.py").write_text(PAY, "utf-8")
    clerk = f"tools: [{{function: 'pay.py:pay', {RULE}}}]"
    define(agents, system, clerk=clerk, boss="workers: [clerk]")
    file = tmp_path / "paid"
    file.touch()
    system.env["PAID"] = str(file)
    return file


def pending(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.hutch("approvals", "--json").stdout)
    return found


def only_pending(system: System) -> dict[str, Any]:
    until(lambda: len(pending(system)) == 1)
    return pending(system)[0]


@pytest.mark.essential
def test_an_approved_call_is_made_once_by_another_process(
    system: System, pika: Client, asked: Asked, paid: Path
) -> None:
    [first] = system.agents("clerk")
    assert pika.ask("clerk", SMALL).status == "ok"
    pika.send("clerk", {"id": "bill-2", "content": LARGE})
    request = only_pending(system)
    assert (request["agent"], request["name"]) == ("clerk", "pay")
    assert request["arguments"] == {"amount": 150, "order": 2}
    until(lambda: "run parked" in first.output)
    first.kill()
    system.agents("clerk")
    done = system.hutch("approve", request["approval_id"], "--note", "It is a known customer.")
    assert done.returncode == 0, done.stderr
    reply = pika.reply()
    assert (reply.status, reply.content) == ("ok", "paid")
    assert paid.read_text() == "1: 5.0\n2: 150.0\n"
    assert len(asked()) == 4
    shown = system.hutch("show", "bill-2").stdout
    assert f"approval {request['approval_id']} of clerk for pay: approved by " in shown
    assert "It is a known customer." in shown
    again = system.hutch("deny", request["approval_id"])
    assert (again.returncode, again.stdout) == (1, "")
    assert "pay of clerk was already approved by" in again.stderr


def test_a_denied_call_is_an_answer_to_the_model(
    system: System, pika: Client, asked: Asked, paid: Path
) -> None:
    system.agents("clerk")
    pika.send("clerk", LARGE)
    request = only_pending(system)
    assert system.hutch("deny", request["approval_id"], "--note", "Too much.").returncode == 0
    assert pika.reply().status == "ok"
    assert paid.read_text() == ""
    said = asked()[-1]["messages"][-1]
    assert said["content"] == "Not called: a person has denied it. They say: Too much."


def test_a_request_that_expires_is_denied(
    system: System, pika: Client, asked: Asked, agents: Path, paid: Path
) -> None:
    soon = "approval: {when: amount > 100, expires: 1s}"
    define(agents, system, clerk=f"tools: [{{function: 'pay.py:pay', {soon}}}]")
    system.agents("clerk")
    assert pika.ask("clerk", LARGE).status == "ok"
    assert paid.read_text() == ""
    said = asked()[-1]["messages"][-1]["content"]
    assert "a person must approve it, and none has decided in time" in said


@pytest.mark.essential
def test_a_nested_call_is_approved_after_everything_was_killed(
    system: System, pika: Client, asked: Asked, paid: Path
) -> None:
    everything = system.agents("boss", "clerk")
    prompt = LARGE.replace('"', '\\"')
    pika.send("boss", {"id": "job", "content": f'[[call clerk {{"prompt": "{prompt}"}}]]'})
    request = only_pending(system)
    assert request["root_id"] == "job"
    until(lambda: states(system) == {"boss": "parked", "clerk": "parked"})
    for child in everything:
        child.kill()
    system.agents("boss", "clerk")
    assert states(system) == {"boss": "parked", "clerk": "parked"}
    assert f"hutch approve {request['approval_id']}" in system.hutch("show", "job").stdout
    system.hutch("approve", request["approval_id"])
    assert pika.reply().status == "ok"
    assert paid.read_text() == "2: 150.0\n"
    assert len(asked()) == 4
    assert states(system) == {"boss": "ok", "clerk": "ok"}


def test_an_edited_definition_asks_again(
    system: System, pika: Client, agents: Path, paid: Path
) -> None:
    [first] = system.agents("clerk")
    pika.send("clerk", LARGE)
    request = only_pending(system)
    until(lambda: states(system) == {"clerk": "parked"})
    first.end()
    with (agents / "clerk.yaml").open("a") as file:
        file.write("preamble: You pay bills.\n")
    system.hutch("approve", request["approval_id"])
    system.agents("clerk")
    until(
        lambda: [it["approval_id"] for it in pending(system)] not in ([], [request["approval_id"]])
    )
    assert paid.read_text() == ""
    system.hutch("approve", only_pending(system)["approval_id"])
    assert pika.reply().status == "ok"
    assert paid.read_text() == "2: 150.0\n"


def test_a_cancelled_run_waits_for_no_decision(system: System, pika: Client, paid: Path) -> None:
    system.agents("boss", "clerk")
    prompt = LARGE.replace('"', '\\"')
    pika.send("boss", {"id": "job", "content": f'[[call clerk {{"prompt": "{prompt}"}}]]'})
    request = only_pending(system)
    until(lambda: states(system) == {"boss": "parked", "clerk": "parked"})
    assert "cancelled" in system.hutch("cancel", "job").stdout
    assert pika.reply().status == "cancelled"
    until(lambda: states(system) == {"boss": "cancelled", "clerk": "cancelled"})
    late = system.hutch("approve", request["approval_id"])
    assert late.returncode == 1
    assert "has ended" in late.stderr
    assert pending(system) == []
