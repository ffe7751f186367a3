"""Ids for messages without one, so that a message that is delivered twice is still one task.

A message is delivered again if its connection was lost before the broker had received the ack:
while the claim waited for the store, or while the ack was being sent. The broker then flags it as
redelivered, and this process recognises it by its fingerprint. If another replica or a later
process receives it, it gets a new id there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import uuid4

from shared.broker.consumer import Delivery
from shared.contract.messages import Task, Trigger
from shared.errors import BadMessage

REMEMBERED = 500
"""The most deliveries, with their bodies, that are remembered because their ack is not certain.
It is several times the number that can be in progress at once: the oldest ones went to another
replica."""

_COUNTED_BY_BROKER = ("x-delivery-count", "x-acquired-count")
"""Headers that differ between two deliveries of one message."""


@dataclass
class _Remembered:
    id: str
    fingerprint: str
    delivery: Delivery
    acked: bool = False


class MessageIds:
    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._by_id: dict[str, _Remembered] = {}
        self._by_fingerprint: dict[str, list[_Remembered]] = {}
        self._by_delivery: dict[int, _Remembered] = {}

    def id_of(self, delivery: Delivery) -> str:
        """The id that this delivery's message got at an earlier delivery, or a new one.

        Two equal messages that are each delivered for the first time are two tasks.
        """
        if known := self._by_delivery.get(id(delivery)):
            return known.id
        fingerprint = _fingerprint(delivery)
        equal = self._by_fingerprint.get(fingerprint, ())
        lost = [it for it in equal if it.delivery.gone] if delivery.redelivered else []
        if not lost:
            return self._remember(delivery, fingerprint).id
        repeated = min(lost, key=lambda it: it.acked)  # prefer one whose ack was never sent
        del self._by_delivery[id(repeated.delivery)]
        repeated.delivery, repeated.acked = delivery, False
        self._by_delivery[id(delivery)] = repeated
        return repeated.id

    def with_id(self, message: Task | Trigger, delivery: Delivery) -> Task | Trigger:
        """The message with an id: its own, else the AMQP `message_id`, else a random one.

        Raises `BadMessage` if the `message_id` is not a valid id.
        """
        if message.id is not None:
            return message
        given = delivery.message_id or self.id_of(delivery)
        try:
            return type(message).model_validate(message.model_dump(by_alias=True) | {"id": given})
        except ValueError as error:
            raise BadMessage(
                "message_id: an id is at most 128 printable ASCII characters without spaces"
            ) from error

    async def acked(self, delivery: Delivery) -> None:
        """Call this when the ack was sent: forgets the delivery once the broker has received it."""
        known = self._by_delivery.get(id(delivery))
        if known is None:
            return
        known.acked = True
        certain = await delivery.acked_for_certain()
        if certain and self._by_delivery.get(id(delivery)) is known:  # not forgotten meanwhile
            self._forget(known)

    def _remember(self, delivery: Delivery, fingerprint: str) -> _Remembered:
        new = _Remembered(uuid4().hex, fingerprint, delivery)
        self._by_id[new.id] = new
        self._by_fingerprint.setdefault(fingerprint, []).append(new)
        self._by_delivery[id(delivery)] = new
        if len(self._by_id) > self._most:
            self._forget(next(iter(self._by_id.values())))
        return new

    def _forget(self, known: _Remembered) -> None:
        del self._by_id[known.id]
        del self._by_delivery[id(known.delivery)]
        equal = self._by_fingerprint[known.fingerprint]
        equal.remove(known)
        if not equal:
            del self._by_fingerprint[known.fingerprint]


def _fingerprint(delivery: Delivery) -> str:
    """A hash that is the same each time a message is delivered. Two messages share it only if
    everything that their senders wrote is equal."""
    headers = {k: v for k, v in delivery.headers.items() if k not in _COUNTED_BY_BROKER}
    written = (
        delivery.exchange,
        delivery.routing_key,
        delivery.queue,
        delivery.correlation_id,
        delivery.reply_to,
        delivery.content_type,
        delivery.user_id,
        delivery.app_id,
        delivery.timestamp,
        sorted(headers.items(), key=lambda it: it[0]),
    )
    return hashlib.sha256(repr(written).encode() + b"\0" + delivery.body).hexdigest()
