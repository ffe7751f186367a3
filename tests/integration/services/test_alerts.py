"""Each alert of production raised by its cause, by a real Prometheus that scrapes real processes.

Alerts that take a quarter of an hour are tested by `promtool` with invented figures, in
tests/k8s/test_alerts.py.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.brokers.rabbitmq import Rabbit, Server
from tests.support.client import Client, client
from tests.support.gateway import gateway
from tests.support.network.proxy import Proxy, address, proxy
from tests.support.processes.agents import POISON, define, supervised
from tests.support.processes.running import POLL_S, Child, System, until
from tests.support.prometheus import MINUTE_S, Alert, Prometheus, serving

pytestmark = [pytest.mark.long, pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)]
"""Its container reports its queues to Prometheus; so does 3.10, with a plugin."""

NOWHERE = "http://127.0.0.1:1/v1"
LONG = "[[latency 600]]Write."
AT_WORK = 4
"""Runs of a process that is killed: its replica takes over more than three."""
SCRAPES = 5
"""The number of scrapes of each process before anything goes wrong."""
PATIENCE_S = 240.0
"""A response is stuck after a minute; the rest, on a machine that does much else."""
AGENTS = {
    "busy": "limits: {concurrency: 1}",
    "gone": "",
    "cut": f"model: {{name: none, base_url: '{NOWHERE}'}}\nlimits: {{concurrency: 64}}",
    "old": "",
    "new": "",
    "mute": "",
    "pair": "",
    "bob": "tools: [{function: 'poison.py:die', repeatable: true}]",
}
EXPECTED: set[Alert] = {
    ("HutchTasksWait", "busy"),
    ("HutchTasksWait", "gone"),
    ("HutchModelAway", "cut"),
    ("HutchDeadLetters", "old"),
    ("HutchDeadLetters", "new"),
    ("HutchResponsesStuck", "mute"),
    ("HutchProcessesDie", "pair"),
    ("HutchProcessesDie", "bob"),
    ("HutchGatewayDown", "gateway"),
    ("HutchWebhooksGivenUp", "gateway"),
}
WEBHOOKS = {"HUTCH_WEBHOOK_SECRET": f"whsec_{'A' * 32}", "HUTCH_WEBHOOK_HOSTS": "localhost"}
MAY_BE: set[Alert] = {("HutchDeadLetters", "bob"), ("HutchTasksWait", "new")}
"""Bob's poison is given up in time, and no client waits for it; a process may be slow to start."""


def port_of(child: Child) -> int:
    return int(child.wait_for(r'"health is served".*"port": (\d+)')[1])


@pytest.fixture
def prometheus(server: Server, rabbit: Rabbit, tmp_path: Path) -> Iterator[Prometheus]:
    with serving(tmp_path / "prometheus", server.metrics, rabbit.vhost) as running:
        yield running


@contextmanager
def steadily(rabbit: Rabbit, agent: str) -> Iterator[None]:
    """A task each minute of the alerts' clock."""
    enough = threading.Event()

    def send() -> None:
        with client(rabbit.url) as pika:
            while not enough.wait(MINUTE_S):
                pika.send(agent, "Write.")

    sending = threading.Thread(target=send)
    sending.start()
    try:
        yield
    finally:
        enough.set()
        sending.join()


class Gone(BaseHTTPRequestHandler):
    """A receiver that wants no webhooks any more."""

    def do_POST(self) -> None:
        self.send_response(410)
        self.end_headers()


@pytest.fixture
def gone() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Gone) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://localhost:{server.server_port}/hook"
        finally:
            server.shutdown()
            serving.join()


def give(address: str, agent: str, callback: str) -> None:
    """Give the gateway a task whose response goes to a webhook."""
    task = {"agent": agent, "content": "Write.", "callback_url": callback}
    request = urllib.request.Request(
        f"{address}/api/tasks", json.dumps(task).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture
def network(rabbit: Rabbit) -> Iterator[Proxy]:
    """Between one of the agents and the broker."""
    with proxy(address(rabbit.url)) as running:
        yield running


def answering(
    system: System, prometheus: Prometheus, pika: Client, network: Proxy
) -> tuple[dict[str, Child], str]:
    """All those that begin well, in Prometheus' sight, and no alert; also the gateway's address."""
    names = [name for name in AGENTS if name not in {"new", "mute", "bob"}]
    children = dict(zip(names, system.agents(*names), strict=True))
    system.env |= {"RABBITMQ_URL": network.url(direct := system.env["RABBITMQ_URL"])}
    [children["mute"]] = system.agents("mute")
    system.env["RABBITMQ_URL"] = direct
    children["gateway"], address_of_gateway = gateway(system, **WEBHOOKS)
    prometheus.scrape({name: [port_of(child)] for name, child in children.items()})
    for name in children.keys() - {"cut", "gateway"}:
        assert pika.ask(name, "Write.").status == "ok"
    until(lambda: prometheus.value("min(count_over_time(hutch_takeovers_total[1h]))") >= SCRAPES)
    assert prometheus.firing() == set()
    return children, address_of_gateway


def test_each_alert_is_raised_by_its_cause_and_by_nothing_else(
    system: System,
    prometheus: Prometheus,
    rabbit: Rabbit,
    pika: Client,
    network: Proxy,
    agents: Path,
    gone: str,
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "poison.py").write_text(POISON, "utf-8")
    define(agents, system, **AGENTS)
    children, address_of_gateway = answering(system, prometheus, pika, network)

    give(address_of_gateway, "old", gone)
    given_up = 'hutch_webhook_attempts_total{outcome="given_up"}'
    until(lambda: prometheus.value(given_up) == 1)
    children["gateway"].kill()
    pika.send("mute", "[[latency 2]]Write.")
    until(lambda: children["mute"].output.count("run started") == 2)
    network.stall()
    assert children["gone"].end() == 0
    for task in (LONG, "Write."):
        pika.send("busy", task)
        pika.send("gone", task)
    pika.send("old", b"{")
    pika.send("new", b"{")  # which does not live yet
    for _ in range(AT_WORK):
        pika.send("pair", LONG)
    until(lambda: children["pair"].output.count("run started") == 1 + AT_WORK)
    [survivor, new] = system.agents("pair", "new")
    new.wait_for("message refused")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        bob = int(holder.getsockname()[1])  # the same in each life, as a pod's is
    ports = {name: [port_of(child)] for name, child in children.items()}
    ports["pair"].append(port_of(survivor))
    prometheus.scrape(ports | {"new": [port_of(new)], "bob": [bob]})
    children["pair"].kill()

    system.env["HUTCH_HEALTH_PORT"] = str(bob)
    with supervised(system), steadily(rabbit, "cut"):
        pika.send("bob", "[[latency 1]][[call die {}]]")
        raised = set[Alert]()
        given_up_at = time.monotonic() + PATIENCE_S
        while not raised >= EXPECTED and time.monotonic() < given_up_at:
            raised |= prometheus.firing()
            time.sleep(POLL_S)
    assert raised - MAY_BE == EXPECTED
