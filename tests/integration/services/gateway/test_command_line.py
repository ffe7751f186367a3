"""The command line through a gateway, without the broker's and the store's address."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from shared.contract.remote_commands import SCOPES
from tests.support.client import Client
from tests.support.gateway import gateway
from tests.support.processes.running import PATIENCE_S, Child, System, until
from tests.support.repository import REPOSITORY

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True, scope="session"),
]

HUTCH = (sys.executable, "-m", "services.cli")

Done = tuple[int, str, str]


@pytest.fixture
def served(system: System) -> Child:
    child, address = gateway(system)
    system.env["ADDRESS"] = address
    return child


@pytest.fixture
def laptop(system: System, served: Child) -> dict[str, str]:
    """An environment without a broker and a store."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "HUTCH_GATEWAY": system.env["ADDRESS"]}


def run(env: Mapping[str, str], *arguments: str, stdin: str | None = None) -> Done:
    done = subprocess.run(
        [*HUTCH, *arguments],
        env=dict(env),
        cwd=REPOSITORY,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    return done.returncode, done.stdout, done.stderr


def key(system: System, *arguments: str) -> str:
    made = system.hutch("keys", "add", *arguments)
    found = re.search(r"hk_\w+", made.stdout)
    assert found, made
    return found[0]


CHANGING = re.compile(
    r"\b\d+\.\d MB|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|\b[0-9a-f]{32}\b|hk_\w+|since .*"
)


def same(done: Done) -> Done:
    """The outcome without what differs between two runs of one command."""
    code, out, err = done
    return code, CHANGING.sub("#", out), CHANGING.sub("#", err)


def test_every_command_of_the_table_does_the_same_through_the_gateway(
    system: System, laptop: dict[str, str], pika: Client
) -> None:
    system.agents("bob", "tom")
    pika.ask("alcie", {"id": "lost", "content": "Hello?"})
    assert run(laptop, "ask", "bob", "Write about lifts", "--id", "t1")[0] == 0
    [letter] = json.loads(run(laptop, "dead", "list", "--json")[1])
    unchanging: list[Sequence[str]] = [
        ("ask", "bob", "Write about lifts", "--id", "t1"),
        ("ask", "alcie", "Hello"),
        ("wait", "t1"),
        ("wait", "t1", "--json"),
        ("send", "bob", "Write about lifts", "--id", "t1"),
        ("trigger", "bob", "--id", "woken"),
        ("broadcast", "resarch", "Hello"),
        ("cancel", "t1"),
        ("pause", "nobody"),
        ("unpause", "bob"),
        ("shutdown", "harry"),
        ("restart", "bob"),
        ("scale", "bob", "2"),
        ("status",),
        ("status", "--json"),
        ("doctor",),
        ("logs", "bob"),
        ("runs",),
        ("runs", "bob", "--status", "ok", "--json"),
        ("show", "t1"),
        ("show", "never-sent"),
        ("dead",),
        ("dead", "list"),
        ("dead", "show", letter["id"]),
        ("dead", "replay", "beef"),
        ("dead", "drop", "beef"),
        ("approvals",),
        ("approve", "beef"),
        ("deny", "beef", "--note", "No."),
        ("knowledge", "status"),
        ("knowledge", "search", "bob", "lifts"),
        ("forget", "no-session"),
        ("forget", "--memory", "--agent", "bob"),
        ("keys", "list"),
        ("keys", "revoke", "nobody"),
        ("runs", "--no-such-option"),
    ]
    for command in unchanging:
        direct, through = run(system.env, *command), run(laptop, *command)
        if command == ("status", "--json"):
            direct, through = (
                (it[0], str({**json.loads(it[1]), "store": 0}), it[2]) for it in (direct, through)
            )
        assert same(through) == same(direct), command
    names = {" ".join(it[:2]) for it in unchanging} | {it[0] for it in unchanging}
    assert set(SCOPES) - names == {"watch", "keys add"}, "commands that are run below"

    assert run(laptop, "pause", "bob") == (
        0,
        "bob is paused: 'hutch unpause bob' ends the pause\n",
        "",
    )
    assert "bob is paused" in run(system.env, "ask", "bob", "Hi", "--timeout", "1s")[2]
    assert run(laptop, "unpause", "bob") == (0, "bob is not paused any more\n", "")
    assert run(laptop, "keys", "add", "laptop", "--scope", "read")[0] == 0
    assert "laptop" in run(system.env, "keys", "list")[1]


def test_texts_are_read_on_this_machine_and_a_file_of_the_gateway_is_not(
    system: System, laptop: dict[str, str], tmp_path: Path
) -> None:
    system.agents("bob")
    file = tmp_path / "task.txt"
    file.write_text("[[reply From a file.]]")
    assert run(laptop, "ask", "bob", f"@{file}")[1] == "From a file.\n"
    assert run(laptop, "ask", "bob", "-", stdin="[[reply From stdin.]]")[1] == "From stdin.\n"
    assert run(laptop, "ask", "bob", "@@[[reply One.]]")[1] == "One.\n"
    assert run(laptop, "ask", "bob", "@/no/such/file")[0] == 2
    for arguments in (["ask", "bob", "@/etc/passwd"], ["send", "bob", "-"], ["init", "x"], ["up"]):
        code, detail = posted(system, {"arguments": arguments})
        assert code == 400, detail


def posted(system: System, body: object, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(
        f"{system.env['ADDRESS']}/api/commands",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())["detail"]


def test_output_comes_as_it_is_written_and_a_client_that_leaves_ends_the_command(
    system: System, laptop: dict[str, str], served: Child
) -> None:
    system.agents("bob")
    watching = system.start("services.cli", "watch", "--agent", "bob", **unset(system), **laptop)
    watching.wait_for("watching; Ctrl-C ends it")
    system.hutch("ask", "bob", "Hello")
    watching.wait_for("bob  begins")
    assert children(served)
    watching.process.send_signal(signal.SIGINT)
    assert watching.ended() == 130
    until(lambda: not children(served))
    again = system.start("services.cli", "watch", **unset(system), **laptop)
    again.wait_for("watching")
    again.kill()
    until(lambda: not children(served))


def unset(system: System) -> dict[str, str]:
    return {"RABBITMQ_URL": "", "HUTCH_STORE": ""}


def children(process: Child) -> list[str]:
    tasks = Path(f"/proc/{process.process.pid}/task")
    found = [it.joinpath("children").read_text().split() for it in tasks.iterdir()]
    return [pid for pids in found for pid in pids]


def test_ctrl_c_says_how_to_go_on_with_a_task(
    system: System, laptop: dict[str, str], pika: Client
) -> None:
    asking = system.start("services.cli", "ask", "bob", "Hello", **unset(system), **laptop)
    asking.wait_for("the task waits")
    until(lambda: pika.channel.queue_declare("agent.bob", passive=True).method.message_count)
    asking.process.send_signal(signal.SIGINT)
    assert asking.ended() == 130
    found = re.search(r"'hutch wait (\w+)'", asking.output)
    assert found
    system.agents("bob")
    assert run(laptop, "wait", found[1])[0] == 0


def test_a_terminal_gets_what_a_terminal_gets(system: System, laptop: dict[str, str]) -> None:
    system.agents("bob")
    run(laptop, "ask", "bob", "Write about lifts and stairs " * 20, "--id", "t1")
    assert on_terminal(laptop, "runs", columns=70) == on_terminal(system.env, "runs", columns=70)
    wide = on_terminal(laptop, "runs", columns=150)
    assert wide != on_terminal(laptop, "runs", columns=70)
    assert "\x1b[1m" in wide
    tokyo = on_terminal({**laptop, "TZ": "Asia/Tokyo"}, "show", "t1", columns=100)
    assert tokyo == on_terminal({**system.env, "TZ": "Asia/Tokyo"}, "show", "t1", columns=100)


def on_terminal(env: Mapping[str, str], *arguments: str, columns: int) -> str:
    master, slave = pty.openpty()
    sized = {**env, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*HUTCH, *arguments], env=sized, cwd=REPOSITORY, stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    output = b""
    try:
        while chunk := os.read(master, 65536):
            output += chunk
    except OSError:
        pass  # the end of a terminal
    finally:
        os.close(master)
    assert process.wait(PATIENCE_S) == 0, output
    return output.decode()


def test_a_key_may_do_what_its_scope_says_and_what_it_did_is_recorded(
    system: System, laptop: dict[str, str]
) -> None:
    reading, limited = (
        key(system, "reader", "--scope", "read"),
        key(system, "bobs", "--agent", "bob"),
    )
    operating = key(system, "boss", "--scope", "operate")
    time.sleep(5)  # until the gateway has read the keys again
    assert run(laptop, "runs")[0] == 2, "no key"
    assert "HUTCH_GATEWAY_KEY" in run(laptop, "runs")[2]
    assert run({**laptop, "HUTCH_GATEWAY_KEY": reading}, "runs")[0] == 0
    refused = run({**laptop, "HUTCH_GATEWAY_KEY": reading}, "pause", "bob")
    assert refused[0] == 1
    assert "lacks the scope 'operate', which 'hutch pause' needs" in refused[2]
    assert "limited to some agents" in run({**laptop, "HUTCH_GATEWAY_KEY": limited}, "runs")[2]
    assert run({**laptop, "HUTCH_GATEWAY_KEY": operating}, "pause", "bob")[0] == 0
    request = urllib.request.Request(
        f"{system.env['ADDRESS']}/api/audit", headers={"Authorization": f"Bearer {operating}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        rows = json.load(response)["rows"]
    assert ("boss", "command.pause", "bob") in {
        (it["key_name"], it["action"], it["subject"]) for it in rows
    }


def test_a_gateway_that_is_not_there_is_one_sentence(laptop: dict[str, str]) -> None:
    nowhere = {**laptop, "HUTCH_GATEWAY": "http://127.0.0.1:1"}
    code, out, err = run(nowhere, "runs")
    assert (code, out) == (1, "")
    assert err.startswith("hutch: the gateway http://127.0.0.1:1 can't be reached: ")
    assert run({**laptop, "HUTCH_GATEWAY": "nonsense"}, "runs")[0] == 2
    assert run(nowhere, "runs", "--help")[0] == 0
    assert run(nowhere, "check")[0] == 0


def test_a_gateway_that_ends_says_so(system: System, laptop: dict[str, str], served: Child) -> None:
    watching = system.start("services.cli", "watch", **unset(system), **laptop)
    watching.wait_for("watching")
    assert served.end() == 0
    assert watching.ended() != 0
    assert "this gateway ends" in watching.output
