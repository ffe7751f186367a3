"""A dead letter where the broker's queue `dead` did not take it: as the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """A dead letter as it would have been published: `id` is its `message_id`."""

    id: str
    routing_key: str
    body: bytes
    properties: Mapping[str, object]
    """Headers and AMQP properties by their names, as JSON can hold them."""
