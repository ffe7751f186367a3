"""The attackers' connections: pika, confirmed; what the broker itself refuses is owed nothing."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator

import pika
import pika.exceptions
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from shared.contract.topology import REPLIES
from tests.chaos.clients import Client
from tests.fuzz.draws.plan import Message, volley
from tests.fuzz.ledger import Ledger

KEPT = "reply.fuzz"
DIRECT = "amq.rabbitmq.reply-to"
PAUSE_S = (0.01, 0.2)
"""Between two volleys of one attacker."""
MOST_OWED = 80
"""Answers that may be missing while the attack runs: it searches for mistakes, not for limits."""
PATIENCE_S = 5.0
"""Before it continues all the same: so many answers may be missing for ever."""
TURN_S = 0.05
STARTED_S = 30.0

Instances = Callable[[str], list[str]]
"""An agent's living processes."""


class Receiver(Client):
    """Consumes from the durable queue and from one that the broker has named."""

    def __init__(self, url: str, ledger: Ledger) -> None:
        super().__init__("receiver", url)
        self._ledger = ledger
        self.named = ""
        self.listening = threading.Event()

    def use(self, channel: BlockingChannel) -> None:
        channel.queue_declare(KEPT, durable=True, arguments={"x-queue-type": "quorum"})
        channel.queue_bind(KEPT, REPLIES, KEPT)
        self.named = channel.queue_declare("", exclusive=True).method.queue
        for queue in (KEPT, self.named):
            channel.basic_consume(queue, self._receive)
        self.listening.set()
        while not self.ending.is_set():
            channel.connection.process_data_events(TURN_S)

    def _receive(
        self,
        channel: BlockingChannel,
        method: Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        receive(self._ledger, properties, body)
        channel.basic_ack(method.delivery_tag or 0)


class Attacker(Client):
    """Publishes the volleys whose numbers it is given; `quiet` ends that, `end` its listening."""

    def __init__(
        self, url: str, ledger: Ledger, seed: int, numbers: Iterator[int], receiver: Receiver,
        instances: Instances,
    ) -> None:  # fmt: skip
        super().__init__("attacker", url)
        self._ledger = ledger
        self._seed = seed
        self._numbers = numbers
        self._receiver = receiver
        self._instances = instances
        self._direct: set[str] = set()
        self.quiet = threading.Event()

    def use(self, channel: BlockingChannel) -> None:
        self._ledger.forgive(self._direct)
        self._direct.clear()
        channel.confirm_delivery()
        channel.basic_consume(DIRECT, self._receive, auto_ack=True)
        while not self.ending.is_set():
            if not self.quiet.is_set():
                self._attack(channel, next(self._numbers))
            channel.connection.process_data_events(TURN_S if self.quiet.is_set() else 0)

    def _attack(self, channel: BlockingChannel, number: int) -> None:
        until = time.monotonic() + PATIENCE_S
        while len(self._ledger.unanswered) > MOST_OWED and time.monotonic() < until:
            channel.connection.process_data_events(TURN_S)
        for place, message in enumerate(volley(self._seed, number)):
            self._publish(channel, f"{number}.{place}", message)
        channel.connection.process_data_events(random.Random(number).uniform(*PAUSE_S))

    def _publish(self, channel: BlockingChannel, where: str, message: Message) -> None:
        given = dict(message.properties)
        if message.reply in {"kept", "named", "direct"}:
            addresses = {"kept": KEPT, "named": self._receiver.named, "direct": DIRECT}
            given["reply_to"] = addresses[message.reply]
        if message.reply == "direct":
            self._direct.add(message.call)
        self._ledger.trying(where, message)
        fate = "confirmed"
        try:
            properties = pika.BasicProperties(**given)
            channel.basic_publish(message.exchange, self._key(message), message.body, properties)
        except pika.exceptions.NackError:
            fate = "refused by the broker"
        except pika.exceptions.AMQPError as error:
            fate = f"refused by the broker: {error!r}"
            raise
        except (ValueError, TypeError, OverflowError) as error:
            fate = f"not sendable: {error!r}"
        finally:
            self._ledger.became(where, message, fate)

    def _key(self, message: Message) -> str:
        beginning, alive, _ = message.key.partition("@")
        if not alive:
            return message.key
        agent = beginning.split(".")[1]
        return beginning + next(iter(self._instances(agent)), "nobody")

    def _receive(
        self, _: BlockingChannel, __: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        self._direct.discard(_text(properties.correlation_id))
        receive(self._ledger, properties, body)


def receive(ledger: Ledger, properties: pika.BasicProperties, body: bytes) -> None:
    ledger.receive(_text(properties.correlation_id), _text(properties.message_id), body)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
