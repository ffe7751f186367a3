"""A client that isn't ours: pika, blocking, with a reply queue that the broker named."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel

from shared.contract.topology import TASKS

PATIENCE_S = 60.0
POLL_S = 0.05

Body = bytes | dict[str, Any]


@dataclass(frozen=True)
class Reply:
    body: dict[str, Any]
    message_id: str
    correlation_id: str

    @property
    def status(self) -> str:
        return str(self.body["status"])

    @property
    def content(self) -> str:
        return str(self.body["content"])


@dataclass
class Client:
    channel: BlockingChannel
    queue: str
    owed: set[str] = field(default_factory=set)
    """The calls of tasks whose answers are to come here."""
    got: dict[str, list[Reply]] = field(default_factory=lambda: defaultdict(list))
    """All answers so far, by call."""

    def send(
        self,
        agent: str,
        body: Body | str,
        *,
        exchange: str = TASKS,
        reply_to: str | None = None,
        **properties: Any,
    ) -> str:
        """Publish without `mandatory`; returns the correlation id."""
        if isinstance(body, str):
            body = {"content": body, "id": uuid4().hex}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        call = uuid4().hex
        asked = {"reply_to": reply_to or self.queue, "correlation_id": call} | properties
        self.channel.basic_publish(exchange, agent, data, pika.BasicProperties(**asked))
        if exchange == TASKS and asked["reply_to"] == self.queue:
            self.owed.add(str(asked["correlation_id"]))
        return call

    def reply(self, wait_s: float = PATIENCE_S) -> Reply:
        """The next response; fails when none comes."""
        reply = self.received(wait_s)
        assert reply is not None, "no response came"
        return reply

    def received(self, wait_s: float = POLL_S) -> Reply | None:
        """The next response that comes within so long, if there is one."""
        for method, properties, body in self.channel.consume(
            self.queue, auto_ack=True, inactivity_timeout=wait_s
        ):
            if method is None or properties is None or body is None:
                return None
            return self._got(properties, body)
        raise AssertionError("the consumer was cancelled")

    def _got(self, properties: pika.BasicProperties, body: bytes) -> Reply:
        call = properties.correlation_id or ""
        reply = Reply(json.loads(body), properties.message_id or "", call)
        self.got[call].append(reply)
        return reply

    def at_odds(self) -> list[str]:
        """Tasks that have no answer, or several that differ; takes what is still in the queue."""
        while self.received():
            pass
        unanswered = [f"unanswered: {call}" for call in sorted(self.owed - self.got.keys())]
        differing = [
            f"answered in two ways: {call}"
            for call, them in self.got.items()
            if them[1:]
            and any((it.body, it.message_id) != (them[0].body, them[0].message_id) for it in them)
        ]
        return unanswered + differing

    def replies(self, count: int) -> list[Reply]:
        return [self.reply() for _ in range(count)]

    def ask(self, agent: str, body: Body | str, **properties: Any) -> Reply:
        """Send, and wait for the response to this very message."""
        call = self.send(agent, body, **properties)
        while (reply := self.reply()).correlation_id != call:
            pass
        return reply

    def consumers(self, queue: str) -> int:
        """The number of its consumers."""
        found: int = self.channel.queue_declare(queue, passive=True).method.consumer_count
        return found

    def take_and_answer(self, queue: str, body: bytes) -> None:
        """Wait for a message in a queue, take it, and send this as its response."""
        properties, _ = self._taken(queue)
        called = pika.BasicProperties(correlation_id=properties.correlation_id)
        self.channel.basic_publish("", properties.reply_to or "", body, called)

    def taken(self, queue: str) -> tuple[dict[str, str], bytes]:
        """Wait for a message in a queue and take it: its headers, as text, and its body."""
        properties, body = self._taken(queue)
        headers = properties.headers or {}
        return {key: str(value) for key, value in headers.items()}, body

    def _taken(self, queue: str) -> tuple[pika.BasicProperties, bytes]:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            if method is not None:
                assert properties is not None
                assert body is not None
                return properties, body
            self.channel.connection.sleep(POLL_S)
        raise AssertionError(f"nothing came to '{queue}'")


@contextmanager
def client(url: str) -> Iterator[Client]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        declared = channel.queue_declare("", exclusive=True)
        yield Client(channel, declared.method.queue)
    finally:
        with suppress(pika.exceptions.AMQPError):  # a test may have cut it off
            connection.close()
