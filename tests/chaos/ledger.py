"""The messages that the clients have sent and received; all threads write, the report reads."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """One delivery of a response; `at` is on the monotonic clock."""

    body: bytes
    at: float

    @property
    def status(self) -> str:
        return str(json.loads(self.body)["status"])

    @property
    def content(self) -> str:
        return str(json.loads(self.body)["content"])


@dataclass
class Ledger:
    tried: set[str] = field(default_factory=set)
    """Tasks that the broker may have; those in `confirmed` it has for certain."""
    confirmed: set[str] = field(default_factory=set)
    poisons: set[str] = field(default_factory=set)
    """Malformed messages that the broker has confirmed."""
    received: dict[str, list[Received]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def receive(self, task: str, body: bytes) -> None:
        with self._lock:
            self.received[task].append(Received(body, time.monotonic()))

    def responses(self) -> dict[str, list[Received]]:
        """A copy, by task."""
        with self._lock:
            return {task: list(deliveries) for task, deliveries in self.received.items()}

    @property
    def open(self) -> set[str]:
        """Confirmed, and not answered yet."""
        with self._lock:
            return (self.confirmed | self.poisons) - self.received.keys()
