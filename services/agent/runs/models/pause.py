"""The pause: a paused agent begins no run and calls no model; open runs wait.

A process that is ending starts no model call either: a run that needs one is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from services.agent.instance import Instance
from services.agent.llm.chat import Completion
from services.agent.loop.journal import Journal
from services.agent.loop.wrappers import ModelWrapper
from services.agent.runs.admission import Admission
from shared.errors import RunHandedOver

log = structlog.get_logger()


@dataclass
class Pause:
    """Whether this process is paused; it isn't until `set` is called."""

    instance: Instance
    admission: Admission
    ending: bool = False
    """If set, no model call begins here: a call that is interrupted would be paid for twice."""
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._over.set()

    @property
    def on(self) -> bool:
        return not self._over.is_set()

    def set(self, on: bool) -> None:
        """Pause: no new runs, no new model calls. Unpause: everything goes on at once."""
        if on == self.on:
            return
        (self._over.clear if on else self._over.set)()
        self.admission.pause(on)
        name = "agent.paused" if on else "agent.unpaused"
        log.info(name)
        self.instance.announce(name)

    async def over(self) -> None:
        """Return once the agent is not paused."""
        await self._over.wait()

    async def passed(self, journal: Journal) -> None:
        """Return once a run may call its model. Raises `RunHandedOver` if the process is ending,
        and `RunLost`: the run may be taken over during a pause."""
        if self.ending:
            raise RunHandedOver("this process ends; another calls the model")
        while self.on:
            await self.over()
            await journal.begin_again()


@dataclass
class PausedModel(ModelWrapper):
    """A model that isn't called during a pause. The run's deadline still applies.

    Raises `RunHandedOver` if the process is ending.
    """

    pause: Pause
    journal: Journal

    async def around(self, call: Callable[[], Awaitable[Completion]]) -> Completion:
        await self.pause.passed(self.journal)
        return await call()
