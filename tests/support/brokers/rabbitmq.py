"""The two real brokers that integration tests run on, and a vhost for each test."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.cli.machine.rabbitmq_node import RabbitNode
from shared.errors import BrokerError
from tests.support.machine import need, need_image

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its own module uses what it deprecates
    from testcontainers.community.rabbitmq import RabbitMqContainer as RabbitMqContainer

IMAGE = "rabbitmq:4.0-management"
AMQP_PORT = 5672
METRICS_PORT = 15692
_numbers = itertools.count()


BATCH = 20
"""Vhosts made, and used ones deleted, by one call: each call starts an Erlang machine."""

RENEW = """
  [rabbit_vhost:delete(Name, <<"tests">>) || Name <- [{used}]],
  [begin
     rabbit_vhost:add(Name, <<"tests">>),
     rabbit_auth_backend_internal:set_permissions(
       <<"guest">>, Name, <<".*">>, <<".*">>, <<".*">>, <<"tests">>)
   end || Name <- [{fresh}]], ok."""


ALARMS = {
    "memory": (
        ("set_vm_memory_high_watermark", "absolute", "1MB"),
        ("set_vm_memory_high_watermark", "0.6"),
    ),
    "disk": (("set_disk_free_limit", "9999GB"), ("set_disk_free_limit", "50MB")),
}
"""The limits that raise an alarm, and those that end it."""


ALARM_POLL_S = 0.2


@dataclass(frozen=True)
class Server:
    """A broker that runs for the whole session."""

    address: str
    version: str
    ctl: Callable[..., str]
    metrics: str = ""
    """Host and port of its metrics, where it has any."""
    _fresh: list[str] = field(default_factory=list)
    _used: list[str] = field(default_factory=list)

    def take_vhost(self) -> str:
        """The name of an empty vhost that guest may use."""
        if not self._fresh:
            fresh = [f"test-{next(_numbers)}" for _ in range(BATCH)]
            self.ctl("eval", RENEW.format(used=_binaries(self._used), fresh=_binaries(fresh)))
            self._used.clear()
            self._fresh.extend(fresh)
        return self._fresh.pop(0)

    def drop_vhost(self, name: str) -> None:
        """It is deleted when the next ones are made."""
        self._used.append(name)


def _binaries(names: list[str]) -> str:
    return ", ".join(f'<<"{name}">>' for name in names)


@dataclass(frozen=True)
class Rabbit:
    """A fresh vhost on one of the brokers."""

    url: str
    vhost: str
    version: str
    ctl: Callable[..., str]
    """`rabbitmqctl …`, on the whole broker: name the vhost with `-p` where it matters."""

    def close_connections(self) -> None:
        self.ctl("close_all_connections", "--vhost", self.vhost, "a test closes them")

    def close_connections_of(self, client: str) -> None:
        """Close the connections whose name begins so."""
        for line in self.ctl("list_connections", "pid", "client_properties").splitlines():
            pid, _, properties = line.partition("\t")
            if f'"{client}' in properties:
                self.ctl("close_connection", pid, "a test closes it")

    def connections(self) -> set[str]:
        """The clients' ports."""
        return self._listed("list_connections", "peer_port")

    def channels(self) -> set[str]:
        """The broker's names for the open channels."""
        return self._listed("list_channels", "pid")

    def _listed(self, command: str, column: str) -> set[str]:
        listed = self.ctl(command, "vhost", column).splitlines()
        return {line.split()[1] for line in listed if line.split()[0] == self.vhost}

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The broker is away."""
        self.ctl("stop_app")
        try:
            yield
        finally:
            self.ctl("start_app")

    @asynccontextmanager
    async def silent(self, queue: str) -> AsyncIterator[None]:
        """A quorum queue whose leader takes messages and answers nothing."""
        name = f'rabbit_misc:r(<<"{self.vhost}">>, queue, <<"{queue}">>)'
        leader = f"{{ok, Q}} = rabbit_amqqueue:lookup({name}), {{Leader, _}} = amqqueue:get_pid(Q)"
        await asyncio.to_thread(self.ctl, "eval", f"{leader}, sys:suspend(Leader).")
        try:
            yield
        finally:
            await asyncio.to_thread(self.ctl, "eval", f"{leader}, sys:resume(Leader).")

    def remove_leader(self, queue: str) -> None:
        """Leave a quorum queue as a broker that was killed while it created the queue."""
        name = f'rabbit_misc:r(<<"{self.vhost}">>, queue, <<"{queue}">>)'
        state = self.ctl(
            "eval",
            f"{{ok, Q}} = rabbit_amqqueue:lookup({name}), {{Name, _}} = Id = amqqueue:get_pid(Q), "
            "ok = ra:stop_server(quorum_queues, Id), "
            "{ok, Config} = ra_server_sup_sup:recover_config(quorum_queues, Name), "
            "ok = ra:force_delete_server(quorum_queues, Id), "
            "Uid = ra:new_uid(ra_lib:to_binary(Name)), "
            "ok = ra:start_server(quorum_queues, Config#{uid => Uid}), "
            "element(1, sys:get_state(Name)).",
        )
        assert state == "follower"

    @contextmanager
    def alarm(self, short_of: Literal["memory", "disk"] = "memory") -> Iterator[None]:
        """The broker is short of it and takes no messages; it checks every few seconds."""
        now, then = ALARMS[short_of]
        self.ctl(*now)
        try:
            while short_of not in self.ctl("eval", "rabbit_alarm:get_alarms()."):
                time.sleep(ALARM_POLL_S)
            yield
        finally:
            self.ctl(*then)


@contextmanager
def vhost(server: Server) -> Iterator[Rabbit]:
    name = server.take_vhost()
    yield Rabbit(f"amqp://guest:guest@{server.address}/{name}", name, server.version, server.ctl)
    server.drop_vhost(name)


@contextmanager
def private_node(folder: Path) -> Iterator[Server]:
    """The distribution's own broker."""
    need("rabbitmq-server")
    node = RabbitNode(folder)
    node.start()
    try:
        address = node.url.rpartition("@")[2].rstrip("/")
        yield Server(address, node.ctl("version"), node.ctl)
    finally:
        node.stop()


def crash(node: RabbitNode) -> None:
    """SIGKILL to the broker, and a new one on the same data."""
    os.kill(int(node.ctl("eval", "os:getpid().").strip('"')), signal.SIGKILL)
    node.stop()
    node.start()


def ctl_in(broker: RabbitMqContainer) -> Callable[..., str]:
    def ctl(*arguments: str) -> str:
        done = broker.exec(["rabbitmqctl", "--quiet", *arguments])
        said: str = done.output.decode().strip()
        if done.exit_code:
            raise BrokerError(f"rabbitmqctl {arguments[0]} failed: {said}")
        return said

    return ctl


@contextmanager
def container() -> Iterator[Server]:
    """The image that the compose file pins."""
    need_image(IMAGE)
    broker = RabbitMqContainer(IMAGE).with_exposed_ports(METRICS_PORT).start()
    try:
        host = broker.get_container_host_ip()
        address = f"{host}:{broker.get_exposed_port(AMQP_PORT)}"
        metrics = f"{host}:{broker.get_exposed_port(METRICS_PORT)}"

        ctl = ctl_in(broker)
        yield Server(address, ctl("version"), ctl, metrics)
    finally:
        broker.stop()
