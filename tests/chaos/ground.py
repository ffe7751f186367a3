"""The broker and the store that a game is played on, and what can be done to them."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from services.cli.machine.rabbitmq_node import RabbitNode
from shared.errors import BrokerError
from tests.chaos.nemesis import Fault, Kind
from tests.support.brokers.rabbitmq import AMQP_PORT, IMAGE, RabbitMqContainer, crash
from tests.support.machine import need, need_image
from tests.support.stores import postgresql
from tests.support.stores.postgresql import Postgres

AWAY_S = (3.0, 8.0)
LOCKED_S = (2.0, 8.0)
STOPPED_S = (5.0, 20.0)
START_S = 90.0
POLL_S = 0.2

Ctl = Callable[..., str]


@dataclass(frozen=True)
class Ground:
    broker_url: str
    broker: str
    """Its version."""
    ctl: Ctl
    store_url: str
    kinds: dict[str, Kind]


def broker_kinds(ctl: Ctl, crash: Callable[[], None]) -> dict[str, Kind]:
    def stop_app(fault: Fault) -> None:
        ctl("stop_app")
        time.sleep(fault.seconds)
        ctl("start_app")

    def close(_: Fault) -> None:
        ctl("close_all_connections", "chaos")

    return {
        "broker stop_app": Kind(stop_app, AWAY_S),
        "broker kill -9": Kind(lambda _: crash()),
        "connections closed": Kind(close),
    }


@contextmanager
def on_sqlite(folder: Path) -> Iterator[Ground]:
    """The distribution's broker as a private node, and a file."""
    need("rabbitmq-server")
    node = RabbitNode(folder / "node")
    node.start()

    file = folder / "hutch.db"

    def lock(fault: Fault) -> None:
        with closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(fault.seconds)

    try:
        kinds = broker_kinds(node.ctl, lambda: crash(node)) | {"file locked": Kind(lock, LOCKED_S)}
        yield Ground(node.url, node.ctl("version"), node.ctl, f"sqlite:///{file}", kinds)
    finally:
        node.stop()


@contextmanager
def on_postgresql(folder: Path) -> Iterator[Ground]:
    """Both in containers; the broker's port is the same after a crash."""
    need_image(IMAGE)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = int(holder.getsockname()[1])
    container = RabbitMqContainer(IMAGE).with_bind_ports(AMQP_PORT, port).start()
    node = container.get_wrapped_container()
    assert node is not None

    def ctl(*arguments: str) -> str:
        done = container.exec(["rabbitmqctl", "--quiet", *arguments])
        said = str(done.output.decode()).strip()
        if done.exit_code:
            raise BrokerError(f"rabbitmqctl {arguments[0]} failed: {said}")
        return said

    def die() -> None:
        node.kill()
        node.start()
        _wait(lambda: ctl("await_startup"))

    try:
        with postgresql.server() as server, server.database() as url:
            kinds = broker_kinds(ctl, die) | store_kinds(server, url)
            address = f"{container.get_container_host_ip()}:{port}"
            yield Ground(f"amqp://guest:guest@{address}/", ctl("version"), ctl, url, kinds)
    finally:
        container.stop()


def store_kinds(server: Postgres, url: str) -> dict[str, Kind]:
    def pause(fault: Fault) -> None:
        with server.frozen():
            time.sleep(fault.seconds)

    def refuse(fault: Fault) -> None:
        with server.away(url):
            time.sleep(fault.seconds)

    return {"store paused": Kind(pause, STOPPED_S), "store refuses": Kind(refuse, STOPPED_S)}


def _wait(done: Callable[[], object]) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            done()
        except BrokerError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)
        else:
            return


GROUNDS: dict[str, Callable[[Path], AbstractContextManager[Ground]]] = {
    "sqlite": on_sqlite,
    "postgresql": on_postgresql,
}
