"""The test rig: broker, store and round lengths of the parts; and what a part finds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.brokers.rabbitmq import Server, vhost
from tests.support.processes import running
from tests.support.processes.running import System
from tests.support.stores.postgresql import Postgres


@dataclass(frozen=True)
class Rig:
    server: Server
    postgresql: Postgres
    lasts_s: float
    """The length of one round."""
    least_rounds: int
    most_rounds: int
    rounds_s: float
    """After this time no round begins, if there were enough."""

    def rounds(self) -> Iterator[int]:
        until = time.monotonic() + self.rounds_s
        for number in range(self.most_rounds):
            if number < self.least_rounds or time.monotonic() < until:
                yield number

    @contextmanager
    def system(self) -> Iterator[System]:
        """Processes on a vhost and in a folder of their own."""
        with tempfile.TemporaryDirectory() as name, vhost(self.server) as rabbit:
            agents = Path(name) / "agents"
            agents.mkdir()
            with running.system(rabbit.url, Path(name), agents) as system:
                yield system


@dataclass(frozen=True)
class Row:
    what: str
    figure: str
    target: str = ""


@dataclass(frozen=True)
class Found:
    """What a part has found. `table` is Markdown of its own; `ratios` are for the reference."""

    rows: Sequence[Row]
    table: Sequence[str] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
