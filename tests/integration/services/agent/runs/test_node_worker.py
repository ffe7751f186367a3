"""A worker in another language, without any of our code, stands in for Bob."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.machine import need
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import PATIENCE_S, Child, System
from tests.support.repository import REPOSITORY

WORKER = REPOSITORY / "examples" / "node-worker"

CLIENT = """
import amqp from "amqplib";
const connection = await amqp.connect(process.env.RABBITMQ_URL);
const channel = await connection.createChannel();
const replyTo = "amq.rabbitmq.reply-to";
const heard = new Promise((hear) => channel.consume(replyTo, hear, { noAck: true }));
channel.publish("hutch.tasks", "bob", Buffer.from('{"content": "Write."}'), { replyTo });
process.stdout.write((await heard).content.toString());
await connection.close();
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("node")
    folder = tmp_path_factory.mktemp("node") / "worker"
    shutil.copytree(WORKER, folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(["npm", "install", "--no-package-lock", "--silent"], cwd=folder, check=True)
    return folder


@pytest.fixture
def bob(installed: Path, broker_url: str, system: System, tmp_path: Path) -> Iterator[Child]:
    env = os.environ | {"RABBITMQ_URL": broker_url}
    child = Child(["node", str(installed / "worker.js")], env, tmp_path / "node.log")
    try:
        yield child
    finally:
        child.process.send_signal(signal.SIGTERM)
        assert child.process.wait(PATIENCE_S) == 0


@pytest.mark.essential
def test_alice_asks_a_worker_that_is_written_in_node(
    system: System, pika: Client, asked: Asked, bob: Child
) -> None:
    system.agents("alice")
    reply = pika.ask("alice", "Ask Bob to write an email for you.")
    assert reply.status == "ok"
    [result] = results_in(asked()[-1])
    assert "Node" in result
    assert result in reply.content
    assert len(asked()) == 2, "Bob has asked no model"


def test_a_client_that_is_written_in_node_gets_its_response(
    system: System, installed: Path, broker_url: str
) -> None:
    system.agents("bob")
    (installed / "client.js").write_text(CLIENT, "utf-8")
    asked = subprocess.run(
        ["node", "client.js"],
        cwd=installed,
        env=os.environ | {"RABBITMQ_URL": broker_url},
        capture_output=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert json.loads(asked.stdout)["status"] == "ok"
