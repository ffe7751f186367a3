"""The command line against real agents on a real broker."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.model.streaming import WORDS
from tests.support.processes.running import System, until
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session")
"""`test_on_any_broker.py` has the tests that depend on the broker's version."""

WISH = "Ask Bob to write an email for you and let me know what he has written."
WRITTEN = "Subject: Fire drill on Friday"


@pytest.mark.essential
def test_ask_prints_the_response_and_the_runs_events(system: System) -> None:
    system.agents("alice", "bob")
    asked = system.hutch("ask", "alice", WISH, "--id", "wish-1")
    assert asked.returncode == 0
    assert WRITTEN in asked.stdout
    *seen, last = asked.stderr.splitlines()
    assert last.startswith("[scripted] ")
    events = [line.split(" ", 1)[1] for line in seen]
    assert events[:3] == ["alice begins", "alice asks bob", "bob begins"]
    assert "alice has an answer from bob: ok" in events

    again = json.loads(system.hutch("ask", "alice", WISH, "--id", "wish-1", "--json").stdout)
    assert (again["status"], again["task_id"], again["model"]) == ("ok", "wish-1", "scripted")
    other = system.hutch("ask", "alice", "Something else", "--id", "wish-1")
    assert other.returncode == 1
    assert "the id 'wish-1' was used for another task" in other.stdout
    assert other.stderr.endswith("alice has ended with: refused\n")

    listed = json.loads(system.hutch("runs", "--json").stdout)
    assert [(run["agent"], run["status"]) for run in listed] == [("bob", "ok"), ("alice", "ok")]
    shown = system.hutch("show", "wish-1").stdout
    assert "claimed" in shown
    assert "turn 1: model\ncalls bob {" in shown
    assert "turn 1: worker bob\nSubject:" in shown
    assert "response: ok; 3 model calls" in shown
    assert "└── bob  ok" in shown
    by_prefix = json.loads(system.hutch("show", listed[0]["run_id"][:8], "--json").stdout)
    assert by_prefix["run"]["parent_id"] == "wish-1"


def test_an_answer_is_printed_as_it_is_never_as_markup(system: System) -> None:
    system.agents("bob")
    asked = system.hutch("ask", "bob", "[[reply [bold]see[/bold] [link] now]]")
    assert asked.stdout == "[bold]see[/bold] [link] now\n"


def test_ask_without_a_process_prints_a_remark_at_once_and_fails_in_the_end(system: System) -> None:
    asked = system.hutch("ask", "bob", "Hello", "--timeout", "1s")
    assert asked.returncode == 1
    first, last = asked.stderr.splitlines()
    assert first == "no process of bob is alive: start it; the task waits"
    assert last.startswith("hutch: no response from 'bob' within 1 s: no process of bob is alive")


def test_a_message_to_a_name_without_a_file_and_a_mailbox_is_refused_before_it_is_sent(
    system: System, pika: Client
) -> None:
    system.agents("bob")  # who would refuse the message too
    for command in (("ask", "alcie", "Hello"), ("send", "alcie", "Hello"), ("trigger", "alcie")):
        said = system.hutch(*command)
        assert (said.returncode, said.stdout) == (2, "")
        assert re.fullmatch(
            r"hutch: no agent 'alcie' in \S+; known: alice, .*; did you mean alice\?\n", said.stderr
        )
    pika.channel.queue_declare("agent.alcie", durable=True)
    sent = system.hutch("send", "alcie", "Hello")
    assert sent.returncode == 0, "its file is elsewhere"
    assert "no agent 'alcie'" in sent.stderr


def test_ask_says_that_the_task_waits_for_the_store(system: System) -> None:
    system.agents("bob")
    file = system.env["HUTCH_STORE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        asking = system.start("services.cli", "ask", "bob", "Hello")
        asking.wait_for("the store is locked by another program")
    assert asking.ended() == 0


def test_a_task_sent_before_its_agent_started_waits_for_it(system: System) -> None:
    task_id = system.hutch("send", "bob", "Write about lifts").stdout.strip()
    waiting = "not taken yet: no process of bob is alive: start it; 1 message waits in its mailbox"
    assert system.hutch("show", task_id).stdout == f"{waiting}\n"
    system.hutch("pause", "all")
    assert "not taken yet: bob is paused: 'hutch unpause all'" in (
        system.hutch("show", task_id).stdout
    )
    system.hutch("unpause", "all")
    assert system.hutch("show", "never-sent").returncode == 1
    system.agents("bob")
    assert system.hutch("wait", task_id).stdout.startswith("Subject:")
    asked = system.hutch("ask", "bob", "Write about lifts", "--id", task_id)
    assert asked.returncode == 0
    assert len(json.loads(system.hutch("runs", "bob", "--json").stdout)) == 1


def test_a_trigger_wakes_one_and_a_broadcast_every_member(system: System) -> None:
    system.agents("tom", "richard", "harry", "bob")
    woken = system.hutch("trigger", "bob", "Write about lifts").stdout.strip()
    broadcast = system.hutch("broadcast", "research", "How are the backups?").stdout.strip()
    until = time.monotonic() + 30
    wanted = {(woken, "bob")} | {(broadcast, name) for name in ("tom", "richard", "harry")}
    while time.monotonic() < until:
        listed = json.loads(system.hutch("runs", "--status", "ok", "--json").stdout)
        if wanted <= {(run["task_id"], run["agent"]) for run in listed}:
            break
    else:
        pytest.fail(f"not all woke: {listed}")
    several = json.loads(system.hutch("show", broadcast, "--json").stdout)
    assert {it["run"]["agent"] for it in several} == {"tom", "richard", "harry"}


def test_a_broadcast_that_no_process_receives_fails(system: System) -> None:
    said = system.hutch("broadcast", "research", "Anybody?")
    assert said.returncode == 1
    assert said.stderr == (
        "hutch: no agent of the swarm 'research' has run on this broker: start one\n"
    )
    said = system.hutch("broadcast", "resarch", "Anybody?")
    assert said.returncode == 2
    assert said.stderr.startswith("hutch: no swarm 'resarch' in ")
    assert said.stderr.endswith("; known: research; did you mean research?\n")


def test_status_counts_heartbeats_and_the_mailbox(
    system: System,
) -> None:
    killed, *_ = system.agents("bob", "bob")
    system.hutch("send", "alice", WISH)
    system.hutch("ask", "bob", "Hello")

    def status(agent: str) -> dict[str, int]:
        found = json.loads(system.hutch("status", "--json").stdout)
        by_agent: dict[str, dict[str, int]] = {it["agent"]: it for it in found["agents"]}
        return by_agent[agent]

    bob, alice = status("bob"), status("alice")
    assert (bob["replicas"], bob["consumers"], bob["queued"]) == (2, 2, 0)
    assert (alice["replicas"], alice["consumers"], alice["queued"]) == (0, 0, 1)
    killed.kill()
    assert status("bob")["replicas"] == 1
    assert "dead letters: 0" in system.hutch("status").stdout


def test_status_shows_running_processes_and_waiting_tasks(system: System) -> None:
    system.agents("alice", "bob")
    system.hutch("send", "alice", '[[call bob {"prompt": "Hello [[latency 20]]"}]]')
    until = time.monotonic() + 15
    while time.monotonic() < until:
        found = json.loads(system.hutch("status", "--json").stdout)["agents"]
        counts = {it["agent"]: (it["running"], it["waiting"]) for it in found}
        if (counts["alice"], counts["bob"]) == ((0, 1), (1, 0)):
            return
    pytest.fail(f"never so: {counts}")


@pytest.mark.parametrize("mode", ["drain", "stop"])
def test_shutdown_ends_an_agents_processes_and_prints_how_many(system: System, mode: str) -> None:
    alice, *bobs = system.agents("alice", "bob", "bob")
    said = system.hutch("shutdown", "bob", *(["--stop"] if mode == "stop" else []))
    assert said.stdout.startswith("asked 2 processes of 'bob' to ")
    assert [bob.ended() for bob in bobs] == [0, 0]
    assert alice.process.poll() is None
    again = system.hutch("shutdown", "bob")
    assert again.returncode == 1
    assert again.stderr == "hutch: no process of 'bob' runs on this broker: nothing to end\n"


def test_an_agent_that_does_not_exist_is_refused_by_a_running_agent(
    system: System, tmp_path: Path
) -> None:
    system.agents("bob")
    said = system.hutch("ask", "alcie", "Hi", HUTCH_AGENTS=str(tmp_path / "nowhere"))
    assert said.returncode == 1
    assert said.stdout.startswith("no agent 'alcie'; known: alice, bob")
    assert said.stderr == (
        "alcie has never run: start it; the task waits\n"
        "a process of bob has refused it for alcie, which its folder of agents does not have\n"
    )
    sent = system.hutch("send", "alcie", "Hi", HUTCH_AGENTS=str(tmp_path / "nowhere"))
    until(lambda: "not taken: no agent 'alcie'" in system.hutch("show", sent.stdout.strip()).stdout)


def test_a_terminal_shows_the_live_task_tree(system: System) -> None:
    system.agents("alice", "bob")
    seen = on_a_terminal(system, "ask", "alice", WISH)
    assert "└── \x1b[1mbob\x1b[0m  ok" in seen
    assert seen.partition("\r\n[scripted] ")[0].endswith("Bob"), "the answer, and its mark"


def test_a_terminal_shows_the_text_as_it_comes_and_then_the_whole_answer_once(
    system: System,
) -> None:
    served = system.start("tests.support.model.streaming").wait_for(r"serving (\S+)")
    system.env["OPENAI_BASE_URL"] = served[1]
    system.agents("bob")
    seen = on_a_terminal(system, "ask", "bob", "Talk.")
    assert seen.index("word word") < seen.index("\x1b[1mbob\x1b[0m  ok"), "while the run computes"
    assert seen.rpartition("\x1b[1mbob\x1b[0m  ok")[2].split().count("word") == WORDS


def test_output_that_is_no_terminal_gets_only_the_answer_and_asks_for_no_text(
    system: System,
) -> None:
    system.agents("bob")
    system.hutch("ask", "bob", "Hello", "--id", "t1")
    shown = json.loads(system.hutch("show", "t1", "--json").stdout)
    assert "stream" not in json.loads(shown["texts"]["message"])


def test_on_a_terminal_runs_are_listed_by_their_own_ids(system: System) -> None:
    system.agents("bob")
    system.hutch("ask", "bob", "Hello", "--id", "a-task-of-mine")
    assert "a-task-of-mine" in system.hutch("runs").stdout
    seen = on_a_terminal(system, "runs")
    assert "Hello" in seen
    assert "a-task-of-mine" not in seen


def on_a_terminal(system: System, *arguments: str) -> str:
    """The command's whole output on a terminal."""
    ours, its = os.openpty()
    command = [sys.executable, "-m", "services.cli", *arguments]
    env = system.env | {"TERM": "xterm"}
    with subprocess.Popen(command, env=env, cwd=REPOSITORY, stdout=its, stderr=its) as process:
        os.close(its)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    assert process.returncode == 0
    return seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the last process has closed its side
        return b""


def test_ctrl_c_names_the_commands_with_which_a_sent_task_goes_on(
    system: System, pika: Client
) -> None:
    asking = system.start("services.cli", "ask", "bob", "Hello", "--id", "t1")
    asking.wait_for("the task waits")
    mailbox = partial(pika.channel.queue_declare, "agent.bob", passive=True)
    until(lambda: mailbox().method.message_count)
    asking.process.send_signal(signal.SIGINT)
    assert asking.ended() == 130
    assert asking.output.splitlines()[1:] == [
        "the task goes on: 'hutch wait t1' waits for its response, 'hutch cancel t1' ends it"
    ]
    assert system.hutch("cancel", "t1").stdout == (
        "task t1 of bob is not known yet: it is cancelled when it comes\n"
    )
    system.agents("bob")
    waited = system.hutch("wait", "t1")
    assert (waited.returncode, waited.stdout) == (1, "cancelled\n")
    assert waited.stderr.endswith("bob has ended with: cancelled\n")
