"""A cancelled task ends with all that it has caused, wherever that runs."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from shared.contract.messages import run_id
from shared.contract.topology import CONTROL
from shared.store import open_store
from shared.store.runs import cancels
from tests.support.client import Client
from tests.support.processes.agents import calling, define, lose_control_messages, states, tree
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")

LONG = "[[latency 40]]Write."
SOON_S = 3.0
"""A cancel takes well under a second; this is for a machine that does much else."""
SOON_WITHOUT_MESSAGES_S = 8.0
"""Half a second for each level of the tree, or two until any replica may end a run, likewise."""


def message(pika: Client, agent: str, task_id: str) -> None:
    body = json.dumps({"type": "cancel", "task_id": task_id})
    pika.channel.basic_publish(CONTROL, f"cancel.{agent}", body.encode())


def row(system: System, agent: str, task_id: str, store: str = "") -> bool:
    async def write() -> bool:
        async with open_store(store or system.env["HUTCH_STORE"]) as opened:
            ask = partial(cancels.request, agent=agent, task_id=task_id)
            return await opened.write(run_id(agent, task_id), ask)

    return asyncio.run(write())


@pytest.mark.parametrize(
    "by", ["command", pytest.param("message", marks=pytest.mark.essential), "row alone"]
)
def test_a_whole_tree_ends_cancelled(
    system: System, pika: Client, asked: Asked, agents: Path, by: str
) -> None:
    tree(system, agents)
    pika.send("top", {"content": calling("mid", calling("low", LONG)), "id": "t1"})
    until(lambda: len(asked()) == 3)
    began = time.monotonic()
    if by == "command":
        said = system.hutch("cancel", "t1").stdout
        assert said == "task t1 of top has ended: cancelled\n"
    elif by == "message":
        message(pika, "top", "t1")
    else:
        lose_control_messages(pika)
        assert row(system, "top", "t1")
    reply = pika.reply()
    assert (reply.status, reply.content) == ("cancelled", "cancelled")
    assert reply.body["usage"]["model_calls"] == 1, "what it has cost so far"
    until(lambda: set(states(system).values()) == {"cancelled"})
    took_s = time.monotonic() - began
    assert states(system) == dict.fromkeys(("top", "mid", "low"), "cancelled")
    if by != "command":  # its start takes as long as it takes
        assert took_s < (SOON_S if by == "message" else SOON_WITHOUT_MESSAGES_S)
    assert len(asked()) == 3
    shown = json.loads(system.hutch("show", "t1", "--json").stdout)["texts"]["steps"]
    assert [json.loads(step["output"]).get("status") for step in shown] == [None, "cancelled"]


def test_workers_with_another_store_are_cancelled_by_message(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, top="workers: [low]", low="")
    other = system.env["HUTCH_STORE"].replace("hutch.db", "other.db")
    system.hutch("migrate", HUTCH_STORE=other)
    system.start("services.agent", "low", HUTCH_STORE=other).wait_for("consuming")
    system.agents("top")
    pika.send("top", {"content": calling("low", LONG), "id": "t1"})
    until(lambda: len(asked()) == 2)
    assert row(system, "top", "t1")
    assert pika.reply().status == "cancelled"
    assert until(lambda: states(system, other) == {"low": "cancelled"}) < SOON_S


def test_a_manager_continues_when_only_its_worker_is_cancelled(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    define(agents, system, top="workers: [low]", low="")
    system.agents("top", "low")
    pika.send("top", calling("low", LONG))
    until(lambda: len(asked()) == 2)
    (run,) = json.loads(system.hutch("runs", "low", "--json").stdout)
    assert system.hutch("cancel", run["run_id"][:12]).returncode == 0
    assert pika.reply().status == "ok"
    assert results_in(asked()[-1])[-1] == "low did not answer: cancelled: cancelled"


@pytest.mark.essential
def test_a_task_that_was_cancelled_before_it_came_ends_unrun(
    system: System, pika: Client, asked: Asked
) -> None:
    said = system.hutch("cancel", "t1")
    assert said.returncode == 1
    assert "name the agent with --agent" in said.stderr
    said = system.hutch("cancel", "t1", "--agent", "bob")
    assert said.stdout == "task t1 of bob is not known yet: it is cancelled when it comes\n"
    system.agents("bob")
    message(pika, "bob", "t2")
    reply = pika.ask("bob", {"content": "Write.", "id": "t1"})
    assert reply.status == "cancelled"
    until(lambda: not row_is_missing(system, "t2"))
    assert pika.ask("bob", {"content": "Write.", "id": "t2"}).status == "cancelled"
    assert asked() == []
    assert pika.ask("bob", {"content": "Write.", "id": "t1"}).body == reply.body


def row_is_missing(system: System, task_id: str) -> bool:
    with closing(sqlite3.connect(system.env["HUTCH_STORE"].removeprefix("sqlite:///"))) as reading:
        found = reading.execute("SELECT 1 FROM cancels WHERE task_id = ?", (task_id,))
        return found.fetchone() is None


def test_a_run_that_has_ended_stays_as_it_is(system: System, pika: Client) -> None:
    system.agents("bob")
    reply = pika.ask("bob", {"content": "Write.", "id": "t1"})
    said = system.hutch("cancel", "t1")
    assert (said.returncode, said.stdout) == (
        0,
        "task t1 of bob has ended: nothing to cancel\n",
    )
    message(pika, "bob", "t1")
    again = pika.ask("bob", {"content": "Write.", "id": "t1"})
    assert (again.status, again.body) == ("ok", reply.body)


@pytest.mark.essential
def test_every_requester_receives_the_response_once(
    system: System, pika: Client, asked: Asked
) -> None:
    system.agents("bob", "bob")
    calls = {pika.send("bob", {"content": LONG, "id": "t1"}) for _ in range(3)}
    until(lambda: len(asked()) == 1)
    message(pika, "bob", "t1")
    replies = pika.replies(3)
    assert {reply.status for reply in replies} == {"cancelled"}
    assert {reply.correlation_id for reply in replies} == calls
    assert len({reply.message_id for reply in replies}) == 1


@pytest.mark.parametrize("end", ["killed", "frozen"])
def test_a_dead_or_frozen_owners_run_is_ended_by_a_replica(
    system: System, pika: Client, asked: Asked, end: str
) -> None:
    [owner] = system.agents("bob")
    pika.send("bob", {"content": LONG, "id": "t1"})
    until(lambda: len(asked()) == 1)
    system.agents("bob")
    if end == "killed":
        owner.kill()
    else:
        system.freeze(owner)
    began = time.monotonic()
    assert row(system, "bob", "t1")
    assert pika.reply().status == "cancelled"
    assert time.monotonic() - began < SOON_WITHOUT_MESSAGES_S
    owner.process.send_signal(signal.SIGCONT)
    assert states(system) == {"bob": "cancelled"}
    assert len(asked()) == 1


def test_a_plain_function_runs_out_in_its_thread_and_its_result_is_dropped(
    system: System, pika: Client, asked: Asked, agents: Path, tmp_path: Path
) -> None:
    define(agents, system, ann="tools: ['slow.py:work']")
    (agents / "tools").mkdir()
    (agents / "tools" / "slow.py").write_text(
        "import pathlib, time\n"
        "def work() -> str:\n"
        f"    pathlib.Path({str(tmp_path / 'begun')!r}).touch()\n"
        "    time.sleep(4)\n"
        f"    pathlib.Path({str(tmp_path / 'done')!r}).touch()\n"
        "    return 'done'\n",
        "utf-8",
    )
    system.agents("ann")
    pika.send("ann", {"content": "[[call work {}]]", "id": "t1"})
    until((tmp_path / "begun").exists)
    message(pika, "ann", "t1")
    assert pika.reply().status == "cancelled"
    assert not (tmp_path / "done").exists()
    until((tmp_path / "done").exists)
    steps = json.loads(system.hutch("show", "t1", "--json").stdout)["texts"]["steps"]
    assert json.loads(steps[-1]["output"])["status"] == "cancelled"
    assert len(asked()) == 1
