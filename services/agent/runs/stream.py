"""The text of a run, published while the model writes it, if its task has asked for that.

Nothing depends on it: parts can be lost, and the response is the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from services.agent.llm.chat import OnText
from shared.broker.publisher import Publisher
from shared.contract.rows import storable
from shared.contract.stream import StreamPart
from shared.store.runs.run import Run

GATHER_S = 0.03
"""The shortest time between two parts, so that a fast model makes no storm of messages."""

MOST_CHARS = 2_000
"""So much text is published at once, without waiting for `GATHER_S`."""


@dataclass
class RunStream:
    """The text of one run, for the process that owns it now."""

    publisher: Publisher
    run: Run

    @contextmanager
    def turn(self, turn: int) -> Iterator[OnText]:
        """A function that takes the text of one turn's reply.

        What is gathered when the block ends is published, unless an error ends it.
        """
        reply = _Reply(self, turn)
        try:
            yield reply.take
            reply.publish()
        finally:
            reply.close()

    def publish(self, turn: int, retry: int, sequence: int, text: str) -> None:
        run = self.run
        part = StreamPart(
            run_id=run.run_id,
            epoch=run.epoch,
            attempt=run.fence,  # each owner of the run has a higher one
            turn=turn,
            retry=retry,
            sequence=sequence,
            text=storable(text),
        )
        self.publisher.stream(run.root_id, part)


@dataclass
class _Reply:
    """Gathers a reply. Its first piece is published at once, so that the first word is early."""

    stream: RunStream
    turn: int
    gathered: str = ""
    retry: int = 0
    sequence: int = 0
    timer: asyncio.TimerHandle | None = field(default=None)

    def take(self, text: str) -> None:
        """See `OnText`."""
        if not text:
            self.gathered, self.sequence = "", 0
            self.retry += 1
            return
        self.gathered += text
        if self.timer is None or len(self.gathered) >= MOST_CHARS:
            self.publish()

    def publish(self) -> None:
        """Publish what is gathered, and gather again for `GATHER_S`."""
        self.close()
        if not self.gathered:
            return
        for start in range(0, len(self.gathered), MOST_CHARS):
            piece = self.gathered[start : start + MOST_CHARS]
            self.stream.publish(self.turn, self.retry, self.sequence, piece)
            self.sequence += 1
        self.gathered = ""
        self.timer = asyncio.get_running_loop().call_later(GATHER_S, self.publish)

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None
