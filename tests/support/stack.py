"""One compose project under test, and a foreign client: pika over the published port."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel

UP_S = 600
"""Building the image included."""
REPLY_S = 60
PORTS = ("HUTCH_AMQP_PORT", "HUTCH_MANAGEMENT_PORT", "HUTCH_GATEWAY_PORT")
METRICS = (
    "import urllib.request;"
    "print(urllib.request.urlopen('http://127.0.0.1:9000/metrics', timeout=5).read().decode())"
)


class Stack:
    """A project of its own: name, network, volumes and ports collide with no other."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._folder = folder
        self.project = f"hutch-test-{uuid4().hex[:8]}"
        own = dict.fromkeys(PORTS, "0") | {"COMPOSE_PROJECT_NAME": self.project}
        keyless = {name: text for name, text in os.environ.items() if "OPENAI" not in name}
        self.environment = {**keyless, **own, **environment}

    def compose(self, *arguments: str, timeout_s: float = UP_S) -> str:
        """The command's stdout; raises with its whole output where it fails."""
        command = ["docker", "compose", *arguments]
        ended = subprocess.run(
            command,
            cwd=self._folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def containers(self) -> list[dict[str, object]]:
        listed = self.compose("ps", "--all", "--format", "json").splitlines()
        return [json.loads(line) for line in listed]

    def url(self) -> str:
        """The broker's, as this machine reaches it."""
        address = self.compose("port", "rabbitmq", "5672").strip()
        password = urllib.parse.quote(os.environ.get("RABBITMQ_PASSWORD", "local-only"))
        return f"amqp://hutch:{password}@{address}/"

    def publish_by_http(self, routing_key: str, payload: str, **properties: str) -> bool:
        """Publish by the broker's management API; whether a queue has accepted it."""
        address = self.compose("port", "rabbitmq", "15672").strip()
        password = os.environ.get("RABBITMQ_PASSWORD", "local-only")
        credentials = base64.b64encode(f"hutch:{password}".encode()).decode()
        body = {
            "routing_key": routing_key,
            "payload": payload,
            "payload_encoding": "string",
            "properties": properties,
        }
        request = urllib.request.Request(
            f"http://{address}/api/exchanges/%2F/hutch.tasks/publish",
            json.dumps(body).encode(),
            {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=REPLY_S) as reply:
            return bool(json.load(reply)["routed"])

    def ask_by_gateway(
        self, agent: str, content: str, *, service: str = "gateway", key: str = ""
    ) -> dict[str, object]:
        """The view of a task that was given to the gateway, when it has ended."""
        address = self.compose("port", service, "8765").strip()
        request = urllib.request.Request(
            f"http://{address}/api/tasks",
            json.dumps({"agent": agent, "content": content, "wait": REPLY_S}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key or 'none'}"},
        )
        with urllib.request.urlopen(request, timeout=2 * REPLY_S) as reply:
            view: dict[str, object] = json.load(reply)
            return view

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        parameters = pika.URLParameters(f"{self.url()}?heartbeat=0")
        with pika.BlockingConnection(parameters) as connection:
            yield connection.channel()

    def ask(self, agent: str, contents: list[str]) -> dict[str, dict[str, object]]:
        """Publishes each text as a task and waits for all responses, by correlation id."""
        with self.channel() as channel:
            replies = channel.queue_declare("", exclusive=True).method.queue
            for number, content in enumerate(contents):
                properties = pika.BasicProperties(
                    message_id=uuid4().hex, reply_to=replies, correlation_id=str(number)
                )
                body = json.dumps({"content": content}).encode()
                channel.basic_publish("hutch.tasks", agent, body, properties)
            answered: dict[str, dict[str, object]] = {}
            for method, arrived, said in channel.consume(replies, inactivity_timeout=REPLY_S):
                assert method is not None, f"{len(answered)} of {len(contents)} answered"
                assert arrived is not None
                channel.basic_ack(method.delivery_tag or 0)
                answered[str(arrived.correlation_id)] = json.loads(said or b"")
                if len(answered) == len(contents):
                    break
            channel.cancel()
            return answered

    def ended_by(self, service: str, replicas: int) -> Counter[int]:
        """The number of runs that each replica of a service has ended, from its metrics."""
        ended: Counter[int] = Counter()
        for index in range(1, replicas + 1):
            text = self.compose("exec", "-T", f"--index={index}", service, "python", "-c", METRICS)
            for line in text.splitlines():
                if line.startswith("hutch_runs_ended_total"):
                    ended[index] += int(float(line.rsplit(" ", 1)[1]))
        return ended
