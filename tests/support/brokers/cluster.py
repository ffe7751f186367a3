"""Three broker nodes as the compose files start them, with agents; and what can befall a node."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import docker  # type: ignore[import-untyped]  # it ships no types
from docker.errors import APIError  # type: ignore[import-untyped]  # likewise

from tests.support.processes.running import until
from tests.support.repository import REPOSITORY
from tests.support.stack import Stack

FILES = "docker-compose.yml:docker-compose.cluster.yml"
NODES = ("rabbitmq", "rabbitmq-2", "rabbitmq-3")
"""Their services; the first has the host name `rabbitmq-1`, and all three share `rabbitmq`."""
USER = "hutch:local-only"
MANAGEMENT_PORT = 15672
REPLICAS = {"alice": 2, "bob": 3}
CONNECTIONS = 2 * sum(REPLICAS.values())
"""The number of the agents' connections: each has one to publish and one to consume."""

GATHER = """
  Until = fun Until(Holds) -> Holds() orelse begin timer:sleep(100), Until(Holds) end end,
  Elsewhere = fun(Call) -> [rpc:call(Node, rabbit_maintenance, Call, []) || Node <- nodes()] end,
  Elsewhere(suspend_all_client_listeners),
  Elsewhere(close_all_client_connections),
  Until(fun() -> length(rabbit_networking:local_connections()) >= {connections} end),
  Elsewhere(resume_all_client_listeners),
  Led = fun(Queue) -> element(2, amqqueue:get_pid(Queue)) =:= node() end,
  Until(fun() ->
    Others = [Queue || Queue <- rabbit_amqqueue:list_by_type(quorum), not Led(Queue)],
    [rabbit_quorum_queue:transfer_leadership(Queue, node()) || Queue <- Others],
    Others =:= []
  end)."""
"""All in one call: each call of `rabbitmqctl` starts an Erlang machine."""


@dataclass(frozen=True)
class Cluster:
    stack: Stack

    def container(self, service: str) -> Any:
        """Docker's own handle: to kill it, start it, freeze it."""
        label = "com.docker.compose"
        labels = [f"{label}.project={self.stack.project}", f"{label}.service={service}"]
        [found] = docker.from_env().containers.list(all=True, filters={"label": labels})
        return found

    def address(self, service: str) -> str:
        """The container's own, where its neighbours connect; this machine can too."""
        [network] = self.container(service).attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def ctl(self, node: str, *arguments: str) -> str:
        done = self.container(node).exec_run(["rabbitmqctl", "--quiet", *arguments])
        said = str(done.output.decode()).strip()
        assert done.exit_code == 0, f"rabbitmqctl {arguments[0]} on {node}: {said}"
        return said

    def gather(self, node: str) -> None:
        """The leaders of all quorum queues and the connections of all agents move to this node."""
        self.ctl(node, "eval", GATHER.format(connections=CONNECTIONS))

    @contextmanager
    def frozen(self, node: str) -> Iterator[None]:
        """Freeze a node, with its connections open."""
        container = self.container(node)

        def freeze() -> bool:
            try:
                container.pause()
            except APIError:  # a health check that starts just then can be in the way
                return False
            return True

        until(freeze)
        try:
            yield
        finally:
            container.unpause()

    def whole(self, node: str) -> bool:
        """Whether a node takes questions, and sees itself and the other two run."""
        question = urllib.request.Request(
            f"http://{self.address(node)}:{MANAGEMENT_PORT}/api/nodes"
        )
        question.add_header("Authorization", f"Basic {b64encode(USER.encode()).decode()}")
        try:
            with urllib.request.urlopen(question, timeout=5) as reply:
                seen = json.load(reply)
        except (OSError, ValueError):
            return False
        return [it["running"] and it.get("partitions") == [] for it in seen] == [True] * len(NODES)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """The three nodes, a manager and a worker in replicas; nothing of it outlives the block."""
    stack = Stack(REPOSITORY, COMPOSE_FILE=FILES)
    running = Cluster(stack)
    scaled = [part for name, number in REPLICAS.items() for part in ("--scale", f"{name}={number}")]
    try:
        stack.compose("up", "--build", "--detach", "--wait", *scaled, *NODES, *REPLICAS)
        until(lambda: running.whole(NODES[0]))
        yield running
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")
