"""Ids for messages that bring none, so that a message that is delivered twice is still one task.

A message is delivered again when its connection was lost before the broker had the ack: while the
claim waited for the store, or while the ack was on its way. The broker flags it then, and this
process recognises it by its fingerprint. If another replica or a later process gets it, it has a
new id there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import uuid4

from shared.broker.consumer import Delivery
from shared.contract.messages import Task, Trigger
from shared.errors import BadMessage

REMEMBERED = 500
"""Deliveries, with their bodies, whose ack is not certain; several times as many as can be on their
way at once. A delivery that stays here for long went to another replica."""

_COUNTED_BY_BROKER = ("x-delivery-count", "x-acquired-count")
"""Headers that differ between two deliveries of one message."""


@dataclass
class _Drawn:
    id: str
    fingerprint: str
    delivery: Delivery
    acked: bool = False


class DrawnIds:
    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._drawn: dict[str, _Drawn] = {}
        self._alike: dict[str, list[_Drawn]] = {}
        self._of: dict[int, _Drawn] = {}

    def of(self, delivery: Delivery) -> str:
        """The id of the delivery that this one repeats, or a new one.

        Two equal messages that are each delivered for the first time are two tasks.
        """
        if known := self._of.get(id(delivery)):
            return known.id
        fingerprint = _fingerprint(delivery)
        alike = self._alike.get(fingerprint, ())
        lost = [it for it in alike if it.delivery.gone] if delivery.redelivered else []
        if not lost:
            return self._draw(delivery, fingerprint).id
        repeated = min(lost, key=lambda it: it.acked)  # prefer one whose ack was never sent
        del self._of[id(repeated.delivery)]
        repeated.delivery, repeated.acked = delivery, False
        self._of[id(delivery)] = repeated
        return repeated.id

    def identified(self, message: Task | Trigger, delivery: Delivery) -> Task | Trigger:
        """The message with an id: its own, else the AMQP `message_id`, else a drawn one.

        Raises `BadMessage` if the `message_id` can't be one.
        """
        if message.id is not None:
            return message
        given = delivery.message_id or self.of(delivery)
        try:
            return type(message).model_validate(message.model_dump(by_alias=True) | {"id": given})
        except ValueError as error:
            raise BadMessage(
                "message_id: an id is at most 128 printable ASCII characters without spaces"
            ) from error

    async def acked(self, delivery: Delivery) -> None:
        """Its ack was sent: forget it once the broker is known to have received that."""
        known = self._of.get(id(delivery))
        if known is None:
            return
        known.acked = True
        certain = await delivery.acked_for_certain()
        if certain and self._of.get(id(delivery)) is known:  # it may have gone meanwhile
            self._forget(known)

    def _draw(self, delivery: Delivery, fingerprint: str) -> _Drawn:
        drawn = _Drawn(uuid4().hex, fingerprint, delivery)
        self._drawn[drawn.id] = drawn
        self._alike.setdefault(fingerprint, []).append(drawn)
        self._of[id(delivery)] = drawn
        if len(self._drawn) > self._most:
            self._forget(next(iter(self._drawn.values())))
        return drawn

    def _forget(self, drawn: _Drawn) -> None:
        del self._drawn[drawn.id]
        del self._of[id(drawn.delivery)]
        alike = self._alike[drawn.fingerprint]
        alike.remove(drawn)
        if not alike:
            del self._alike[drawn.fingerprint]


def _fingerprint(delivery: Delivery) -> str:
    """The same each time a message is delivered. Two messages share it only if they are equal in
    everything that their senders wrote."""
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
