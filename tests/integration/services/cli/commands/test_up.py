"""`hutch up` as a process, with real agents."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import psutil
import pytest

from tests.support.processes.running import PATIENCE_S, POLL_S, Child, System, system, until
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)
"""`up` does not depend on the broker's version."""


@pytest.fixture
def own(broker_url: str, tmp_path: Path) -> Iterator[System]:
    """Processes in a folder of their own: `up` keeps its files where it is started."""
    with system(broker_url, tmp_path) as running:
        running.cwd = tmp_path
        running.env["PYTHONPATH"] = str(REPOSITORY)
        yield running


def up(own: System) -> Child:
    """`hutch up` with Alice and Bob, both consuming."""
    child = own.start("services.cli", "up", "alice", "bob", "--provider", "scripted")
    for name in ("alice", "bob"):
        child.wait_for(rf'{name} +\| .*"consuming"')
    return child


def gone(processes: list[psutil.Process]) -> bool:
    """Whether they have ended; waits for it."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        left = [it for it in processes if it.is_running() and it.status() != psutil.STATUS_ZOMBIE]
        if not left:
            return True
        time.sleep(POLL_S)
    return False


@pytest.mark.essential
def test_up_runs_the_agents_until_it_is_ended(own: System) -> None:
    child = up(own)
    children = psutil.Process(child.process.pid).children(recursive=True)
    asked = own.hutch("ask", "alice", "Ask Bob to write an email about rabbits.")
    assert "Subject: News about rabbits" in asked.stdout
    assert child.end() == 0
    assert "model: SCRIPTED" in child.output
    assert gone(children)


def test_a_killed_agent_is_started_again(own: System) -> None:
    child = up(own)
    children = psutil.Process(child.process.pid).children(recursive=True)
    bob = next(
        it for it in children if " ".join(it.cmdline()).rstrip().endswith("-m services.agent bob")
    )
    bob.kill()
    child.wait_for(r"bob +\| ended with SIGKILL: started again in 0.5 s")
    child.wait_for(r'(?s)SIGKILL.*bob +\| [^\n]*"consuming"')


def test_up_ends_when_all_agents_were_shut_down(own: System) -> None:
    child = up(own)
    assert own.hutch("shutdown", "all").returncode == 0
    assert child.ended() == 0
    assert "started again" not in child.output


def test_no_process_outlives_a_killed_up(own: System) -> None:
    child = up(own)
    children = psutil.Process(child.process.pid).children(recursive=True)
    child.kill()
    assert gone(children)


def test_without_a_model_up_fails_before_anything_starts(own: System) -> None:
    child = own.start("services.cli", "up", "bob")
    assert child.ended() == 2
    [line] = child.output.splitlines()
    assert line.startswith("hutch: agent 'bob' has no model: set OPENAI_")


def test_an_unknown_agent_is_refused_before_anything_starts(own: System) -> None:
    child = own.start("services.cli", "up", "bbo")
    assert child.ended() == 2
    assert "did you mean bob?" in child.output
    assert "starting" not in child.output


def test_when_the_fork_server_is_killed_the_agents_are_started_again(own: System) -> None:
    child = up(own)
    children = psutil.Process(child.process.pid).children()
    server = next(it for it in children if "services.cli.forking.server" in " ".join(it.cmdline()))
    before = server.children()
    server.kill()
    for name in ("alice", "bob"):
        child.wait_for(rf"{name} +\| ended with SIGKILL: started again in 0.5 s")
        child.wait_for(rf'(?s){name} +\| ended with SIGKILL.*{name} +\| [^\n]*"consuming"')
    assert gone(before)
    asked = own.hutch("ask", "alice", "Ask Bob to write an email about rabbits.")
    assert "Subject: News about rabbits" in asked.stdout
    assert child.end() == 0


def test_without_forks_each_process_is_started_by_itself(own: System) -> None:
    child = own.start("services.cli", "up", "bob", "--provider", "scripted", "--no-fork")
    child.wait_for(r'bob +\| .*"consuming"')
    children = psutil.Process(child.process.pid).children()
    assert any(it.cmdline()[-2:] == ["services.agent", "bob"] for it in children)
    assert child.end() == 0


def test_the_gateway_serves_on_a_free_port_and_is_restarted_and_logged_as_agents_are(
    own: System,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        own.env |= {"HUTCH_GATEWAY_PORT": str(taken.getsockname()[1])}
        child = up(own)
        address = child.wait_for(r"(?s)ready: hutch ask .*page and API: http://127.0.0.1:(\d+)")
        port = int(address[1])
        assert port != taken.getsockname()[1]
    me = json.loads(get(port, "/api/me")[1])
    assert me["open"] is True
    assert "gateway: 1 process" in own.hutch("status").stdout
    assert own.hutch("restart", "gateway").stdout == "gateway is restarted: 1 process\n"
    child.wait_for(r"(?s)the gateway is served.*the gateway is served")
    assert get(port, "/api/me")[0] == 200, "clients find it where it was"
    assert "the gateway is served" in own.hutch("logs", "gateway").stdout
    secret = (own.cwd / ".hutch" / "webhook-secret").read_text("utf-8")
    assert own.hutch("down").returncode == 0
    assert child.ended() == 0
    child = own.start("services.cli", "up", "bob", "--provider", "scripted", "--no-gateway")
    child.wait_for("ready: ")
    assert "gateway" not in child.output
    assert child.end() == 0
    assert (own.cwd / ".hutch" / "webhook-secret").read_text("utf-8") == secret


def test_as_in_a_container_each_line_is_json_and_one_port_says_whether_all_are_ready(
    own: System,
) -> None:
    port = free_ports(3)
    own.env |= {"HUTCH_HEALTH_PORT": str(port)}
    child = own.start("services.cli", "up", "bob", "--provider", "scripted", "--json")
    child.wait_for('"consuming"')
    until(lambda: get(port, "/ready") == (200, "ok"))
    assert get(port, "/live") == (200, "ok")
    assert get(port + 2, "/ready") == (200, "ok")  # Bob's, after the scheduler's
    assert own.hutch("shutdown", "bob").returncode == 0
    until(lambda: get(port, "/ready") == (503, "bob does not answer"))
    assert child.end() == 0
    messages = [json.loads(line)["message"] for line in child.output.splitlines()]
    assert messages.count("consuming") == 1


def free_ports(number: int) -> int:
    """The first of some consecutive ports that nothing listens on."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first, ExitStack() as others:
            port: int = first.getsockname()[1]
            try:
                for offset in range(1, number):
                    others.enter_context(socket.create_server(("127.0.0.1", port + offset)))
            except (OSError, OverflowError):
                continue
            return port


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as reply:
            return reply.status, reply.read().decode().strip()
    except HTTPError as error:
        return error.code, error.read().decode().strip()
