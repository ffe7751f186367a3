"""The brake: a paused agent begins no run and calls no model; what is open waits.

A process that ends calls no model either: what comes to a call goes to another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from services.agent.instance import Instance
from services.agent.llm.chat import ChatMessage, Completion, Model, ToolSpec
from services.agent.loop.journal import Journal
from services.agent.runs.admission import Admission
from shared.errors import RunHandedOver

log = structlog.get_logger()


@dataclass
class Brake:
    """Of one process. Off until `set` has been told otherwise."""

    instance: Instance
    admission: Admission
    ending: bool = False
    """From now on no model call begins here: one that is cut off would be paid twice."""
    _off: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._off.set()

    @property
    def on(self) -> bool:
        return not self._off.is_set()

    def set(self, on: bool) -> None:
        """On: no new runs, no new model calls; off: all goes on at once."""
        if on == self.on:
            return
        (self._off.clear if on else self._off.set)()
        self.admission.pause(on)
        name = "agent.paused" if on else "agent.unpaused"
        log.info(name)
        self.instance.announce(name)

    async def off(self) -> None:
        await self._off.wait()


@dataclass
class Braked:
    """A model that isn't called while the brake is on; a run's deadline counts meanwhile.

    Raises `RunHandedOver` where the process ends.
    """

    model: Model
    brake: Brake
    journal: Journal

    async def complete(
        self,
        history: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        most_tokens: int | None = None,
    ) -> Completion:
        if self.brake.ending:
            raise RunHandedOver("this process ends; another calls the model")
        while self.brake.on:
            await self.brake.off()
            await self.journal.hold()  # it may have been taken over meanwhile
        return await self.model.complete(history, tools, most_tokens)
