"""A worker that isn't ours: its manager copes with whatever it says, and with silence."""

from __future__ import annotations

import json
import random

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from shared.contract.topology import REPLIES, mailbox_name
from tests.chaos.clients import Client
from tests.fuzz.attack.team import STRANGER
from tests.fuzz.draws import bodies, values

TURN_S = 0.05


class Stranger(Client):
    """A worker that isn't ours, and answers as the seed has it: well, badly, twice, never."""

    def __init__(self, url: str, seed: int) -> None:
        super().__init__("stranger", url)
        self._seed = seed
        self.asked = 0

    def use(self, channel: BlockingChannel) -> None:
        channel.basic_consume(mailbox_name(STRANGER), self._answer)
        while not self.ending.is_set():
            channel.connection.process_data_events(TURN_S)

    def _answer(
        self,
        channel: BlockingChannel,
        method: Basic.Deliver,
        properties: pika.BasicProperties,
        body: bytes,
    ) -> None:
        self.asked += 1
        given = pika.BasicProperties(correlation_id=properties.correlation_id)
        for said in answers(self._seed, body):
            channel.basic_publish(REPLIES, properties.reply_to or "", said, given)
        channel.basic_ack(method.delivery_tag or 0)


def answers(seed: int, asked: bytes) -> tuple[bytes, ...]:
    """A foreign worker's responses to a task, so many of them."""
    task = json.loads(asked)
    draw = random.Random(f"{seed} stranger {task['content']}".encode("utf-8", "replace"))
    right: dict[str, object] = {
        "type": "response",
        "task_id": task["id"],
        "agent": STRANGER,
        "status": draw.choice(("ok", "partial", "refused", "failed", "timeout", "cancelled")),
        "content": draw.choice(("done", "x" * 200_000, *values.TEXTS)),
        "usage": {"model_calls": draw.choice((0, 1, -1, 1000)), "output_tokens": 5},
    }
    kinds = (
        bodies.encoded(right),
        bodies.encoded(right),
        bodies.nearly(draw, right),
        bodies.nearly(draw, right),
        bodies.wrong(draw, right),
    )
    return tuple(draw.choice(kinds) for _ in range(draw.choice((0, 1, 1, 1, 1, 2))))
