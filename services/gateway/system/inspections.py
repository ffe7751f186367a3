"""The agents' files as `hutch check` sees them."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.client.system.advice import advice
from shared.client.system.loading import Loaded, loaded
from shared.concurrency.threads import in_thread
from shared.definitions.loader import Folder
from shared.settings.environment import Settings

LOADING_S = 30.0
"""Importing an agent's tools takes longer than this only if they wait for something."""


@dataclass(frozen=True)
class Inspected:
    fault: str | None = None
    advice: Sequence[str] = ()
    tools: Sequence[tuple[str, str]] = ()
    """The name and the description of each."""


@dataclass
class Inspections:
    """Inspects each agent once: `folder` are the files as they were at the start."""

    folder: Folder
    settings: Settings
    _inspected: dict[str, Inspected] = field(default_factory=dict)
    _locks: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock)
    )

    async def of(self, name: str) -> Inspected:
        """An agent that has no file has neither faults nor tools."""
        if name not in self.folder.files:
            return Inspected()
        async with self._locks[name]:
            if name not in self._inspected:
                self._inspected[name] = await self._inspect(name)
            return self._inspected[name]

    async def _inspect(self, name: str) -> Inspected:
        try:
            async with asyncio.timeout(LOADING_S):
                found = await in_thread(loaded, self.folder, name)
        except TimeoutError:
            return Inspected(f"importing its tools takes longer than {LOADING_S:.0f} s")
        if isinstance(found, str):
            return Inspected(found)
        return Inspected(None, self._advice(name, found), found.tools)

    def _advice(self, name: str, found: Loaded) -> list[str]:
        """The advice that names this agent: some of it depends on the other agents. That on models
        is left out: the agents' settings may be others than the gateway's."""
        sound = {it: one for it, one in self.folder.found.items() if it not in self.folder.faults}
        agents = {**sound, name: found.definition}
        named = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
        lines = advice(agents, self.settings, models=False)
        return [*filter(named.search, lines), *found.advice]
