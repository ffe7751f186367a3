"""Ids for messages that bring none, so that one that is delivered again is still one task.

A delivery comes again when its connection was lost before the broker had its ack: while its claim
waited for the store, or with the ack on its way. The broker flags it then, and this process knows
it by its fingerprint. One that goes to another replica, or outlives its process, gets a new id.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from uuid import uuid4

from shared.broker.consumer import Delivery

REMEMBERED = 500
"""Deliveries, bodies included, whose ack is not certain; several times as many as are on their way
at once. What stays so for long went to another replica."""

_COUNTED_BY_BROKER = ("x-delivery-count", "x-acquired-count")
"""Headers in which a delivery differs from its repetition."""


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
        """An id for a delivery without one: that of the delivery which it repeats, or a new one.

        Two equal messages that each come for the first time are two tasks.
        """
        if known := self._of.get(id(delivery)):
            return known.id
        fingerprint = _fingerprint(delivery)
        alike = self._alike.get(fingerprint, ())
        lost = [it for it in alike if it.delivery.gone] if delivery.redelivered else []
        if not lost:
            return self._draw(delivery, fingerprint).id
        repeated = min(lost, key=lambda it: it.acked)  # rather one whose ack was never sent
        del self._of[id(repeated.delivery)]
        repeated.delivery, repeated.acked = delivery, False
        self._of[id(delivery)] = repeated
        return repeated.id

    async def acked(self, delivery: Delivery) -> None:
        """Say that its ack was sent: it is forgotten once the broker is known to have that."""
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
    """The same for a message each time it is delivered; other messages have other ones, or are
    equal in all that their sender wrote."""
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
