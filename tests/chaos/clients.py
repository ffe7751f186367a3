"""Clients that aren't ours: pika, persistent and confirmed, one durable reply queue."""

from __future__ import annotations

import json
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from shared.contract.topology import TASKS
from tests.chaos.agents import MANAGER, content
from tests.chaos.ledger import Ledger

REPLIES = "reply.chaos"
EVERY_S = 1.0
"""Between two tasks of one sender."""
POISONOUS, REPEATED = 0.03, 0.05
"""Shares of malformed messages, and of tasks that are sent twice."""
AGAIN_S = 0.3
LOST = (pika.exceptions.AMQPError, OSError)
POISONS = (b'{"content": ', b'{"type": "dance"}', b"\xff\xfe\xfa")


@contextmanager
def opened(url: str) -> Iterator[BlockingChannel]:
    """A channel on a connection of its own; raises `LOST` like all that is done with it."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 10
    parameters.blocked_connection_timeout = 30
    parameters.socket_timeout = parameters.stack_timeout = 5
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        with suppress(*LOST):
            connection.close()


class Client(threading.Thread, ABC):
    """A job on a channel, which is opened again after every loss, until `ending` is set."""

    def __init__(self, name: str, url: str) -> None:
        super().__init__(name=name, daemon=True)
        self.url = url
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            with suppress(*LOST), opened(self.url) as channel:
                self.use(channel)
            self.ending.wait(AGAIN_S)

    @abstractmethod
    def use(self, channel: BlockingChannel) -> None:
        """Work on a fresh channel until it is lost, or `ending` is set."""

    def end(self) -> None:
        self.ending.set()
        self.join()


class Sender(Client):
    """Sends tasks until it is ended; a task that is not confirmed is sent again, same id.

    It ends only when its last task is confirmed.
    """

    def __init__(self, number: int, url: str, ledger: Ledger, seed: int) -> None:
        super().__init__(f"sender {number}", url)
        self.ledger = ledger
        self._number = number
        self._draw = random.Random(f"{seed} sender {number}")
        self._tasks = count(1)
        self._unconfirmed: str | None = None

    def run(self) -> None:
        super().run()
        self.ending.clear()  # the last one must be confirmed, however long that takes
        while self._unconfirmed is not None:
            with suppress(*LOST), opened(self.url) as channel:
                channel.confirm_delivery()
                self._publish(channel, self._unconfirmed)
            self.ending.wait(AGAIN_S)

    def use(self, channel: BlockingChannel) -> None:
        channel.confirm_delivery()
        while not self.ending.is_set():
            name = self._unconfirmed or self._named(next(self._tasks))
            self._publish(channel, name)
            if name in self.ledger.confirmed and self._draw.random() < REPEATED:
                self._publish(channel, name)
            channel.connection.sleep(EVERY_S)

    def _named(self, number: int) -> str:
        kind = "poison" if self._draw.random() < POISONOUS else "task"
        return f"{kind}-{self._number}-{number}"

    def _publish(self, channel: BlockingChannel, name: str) -> None:
        self._unconfirmed = name
        poison = name.startswith("poison")
        if not poison:
            self.ledger.tried.add(name)
        said = poisonous(name) if poison else task(name)
        properties = pika.BasicProperties(
            message_id=name,
            correlation_id=name,
            reply_to=REPLIES,
            delivery_mode=pika.DeliveryMode.Persistent,
        )
        channel.basic_publish(TASKS, MANAGER, said, properties, mandatory=True)
        (self.ledger.poisons if poison else self.ledger.confirmed).add(name)
        self._unconfirmed = None


def poisonous(name: str) -> bytes:
    return POISONS[int(name.rpartition("-")[2]) % len(POISONS)]


def task(name: str) -> bytes:
    return json.dumps({"type": "task", "id": name, "content": content(name)}).encode()


class Listener(Client):
    """Consumes every response, and acks it once it is in the ledger."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        super().__init__("listener", url)
        self._ledger = ledger

    def use(self, channel: BlockingChannel) -> None:
        declare(channel)
        channel.basic_qos(prefetch_count=50)
        for method, properties, body in channel.consume(REPLIES, inactivity_timeout=AGAIN_S):
            if self.ending.is_set():
                return
            if method is None or properties is None or body is None:
                continue
            self._ledger.receive(properties.correlation_id or "no correlation id", body)
            channel.basic_ack(method.delivery_tag or 0)


def declare(channel: BlockingChannel) -> None:
    channel.queue_declare(REPLIES, durable=True, arguments={"x-queue-type": "quorum"})
