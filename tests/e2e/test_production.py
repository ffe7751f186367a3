"""The commands of docs/production.md, read from the page itself, in order and in a new folder."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pika
import pytest

from tests.e2e import readme
from tests.support.machine import need
from tests.support.repository import REPOSITORY
from tests.support.stack import REPLY_S, UP_S, Stack

PAGE = (REPOSITORY / "docs" / "production.md").read_text("utf-8")
BIN = Path(sys.executable).parent
NO_KEY = {"OPENAI_API_KEY": ""}


@dataclass
class Production:
    folder: Path
    stack: Stack
    started: str = ""
    """What the commands that start it have printed."""

    def run(self, containing: str, folder: Path | None = None) -> str:
        """Run the page's block with this text; returns its output."""
        done = subprocess.run(
            ["sh", "-eu", "-c", readme.block("sh", containing, PAGE)],
            cwd=folder or self.folder,
            env=self.stack.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=UP_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def operator(self, *command: str) -> str:
        return self.stack.compose("run", "--rm", "-T", "operator", *command)


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    need("docker")
    Stack(REPOSITORY).compose("build", "migrate")
    above = tmp_path_factory.mktemp("production")
    stack = Stack(above / "shop", **NO_KEY, HUTCH_AMQPS_PORT="0")
    stack.environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    stack.environment["PYTHONPATH"] = str(REPOSITORY)
    [setting] = [line for line in readme.commands("COMPOSE_FILE=", PAGE) if line[0] == "export"]
    found = Production(above / "shop", stack)
    try:
        found.run("hutch init shop", above)
        for block in (
            "mkdir -m 700 secrets",
            "echo scripted",
            "mkdir secrets/tls",
            "export COMPOSE_FILE=",
        ):
            found.started = found.run(block)
        stack.environment["COMPOSE_FILE"] = setting[1].partition("=")[2]
        yield found
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")


def test_alice_answers_the_operator(production: Production) -> None:
    assert "Subject: News about the summer party" in production.started


def test_the_gateway_needs_the_key_that_the_operator_makes(production: Production) -> None:
    stack = production.stack
    with pytest.raises(HTTPError, match="401"):
        stack.ask_by_gateway("alice", "Plan the day.")
    key = production.operator("hutch", "keys", "add", "test").split()[0]
    task = stack.ask_by_gateway("alice", "Plan the day.", key=key)
    assert task["status"] == "ok", task


def test_the_broker_has_no_user_but_those_of_the_page(production: Production) -> None:
    listed = production.stack.compose(
        "exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "list_users", "--formatter=json"
    )
    users = {it["user"] for it in json.loads(listed)}
    assert {"agent.alice", "scheduler", "gateway", "operator", "client", "scaler", "admin"} <= users
    assert not users & {"guest", "hutch"}


def test_a_container_sees_its_own_secrets_alone(production: Production) -> None:
    stack = production.stack
    seen = stack.compose("exec", "-T", "bob", "ls", "/run/secrets").split()
    assert sorted(seen) == ["broker", "model", "store"]
    address = stack.compose("exec", "-T", "bob", "cat", "/run/secrets/broker")
    assert address.startswith("amqp://agent.bob:")
    assert "postgresql://" not in stack.compose("exec", "-T", "bob", "env")


def test_a_program_gives_a_task_by_tls(production: Production) -> None:
    secrets = production.folder / "secrets"
    client = urlsplit((secrets / "broker/client").read_text("utf-8").strip())
    published = production.stack.compose("port", "rabbitmq", "5671").strip().rpartition(":")[2]
    trusting = ssl.create_default_context(cafile=str(secrets / "tls/ca.pem"))
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's default
    parameters = pika.ConnectionParameters(
        "127.0.0.1",
        int(published),
        credentials=pika.PlainCredentials(client.username or "", client.password or ""),
        ssl_options=pika.SSLOptions(trusting, socket.gethostname()),
    )
    with pika.BlockingConnection(parameters) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish(
            "hutch.tasks", "alice", "Plan the day.", pika.BasicProperties(reply_to=queue)
        )
        for method, _, body in channel.consume(queue, auto_ack=True, inactivity_timeout=REPLY_S):
            assert method is not None, "no response came"
            assert json.loads(body or b"")["status"] == "ok"
            break


def test_a_restored_store_has_only_what_the_backup_had_and_the_agents_continue(
    production: Production,
) -> None:
    """Before the backup Bob has worked once, for Alice. The upgrade is to the same version."""
    production.run(">hutch.dump")
    assert "the lift" in production.operator("hutch", "ask", "bob", "Write about the lift.")
    assert len(re.findall(r"(?m) bob ", production.run("pg_restore"))) == 1
    production.run(">before.dump")
    assert "the lift" in production.operator("hutch", "ask", "bob", "Write about the lift.")
