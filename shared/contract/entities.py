"""Exchanges, queues, bindings and policies of the broker, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ArgumentValue = str | int | bool
Arguments = dict[str, ArgumentValue]


@dataclass(frozen=True)
class Exchange:
    name: str
    type: Literal["direct", "fanout", "topic"]
    arguments: Arguments = field(default_factory=dict)
    durable: bool = True
    auto_delete: bool = False


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Arguments = field(default_factory=dict)
    durable: bool = True
    exclusive: bool = False
    replaceable: bool = False
    """Its messages may be lost: if it does not respond, it is deleted and declared again."""


@dataclass(frozen=True)
class Binding:
    exchange: str
    queue: str
    routing_key: str = ""


@dataclass(frozen=True)
class Policy:
    """Arguments that the broker adds to those of the queues whose names match."""

    name: str
    pattern: str
    definition: Arguments


@dataclass(frozen=True)
class Topology:
    """Exchanges, queues and bindings to declare, in this order."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            self.exchanges + other.exchanges,
            self.queues + other.queues,
            self.bindings + other.bindings,
        )
