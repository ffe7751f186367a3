"""A dead letter in the store, kept there when the broker's queue `dead` did not take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """A dead letter with all that its publication needs; `id` is its `message_id`."""

    id: str
    routing_key: str
    body: bytes
    properties: Mapping[str, object]
    """Headers and AMQP properties by name, as values that JSON has."""
