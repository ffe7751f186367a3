"""The agent's definition as its runs get it, when the tools of its MCP servers change."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from services.agent.instance import Instance
from services.agent.llm.chat import ToolSpec
from services.agent.loop.snapshot import Snapshot
from services.agent.memory.choice import index_tools
from services.agent.memory.specs import specs
from shared.concurrency.retry import retry
from shared.definitions.model import Definitions
from shared.errors import StoreError
from shared.store.runs.claim import freeze

if TYPE_CHECKING:
    from services.agent.tools.mcp.servers import Servers  # it loads the SDK

log = structlog.get_logger()

LONGEST_WAIT_S = 30.0
HOUR_S = 3600.0
MOST_PER_HOUR = 10
"""The most changes in an hour, as each one is stored for good; later ones wait."""


@dataclass(frozen=True)
class Parts:
    """What a snapshot of the agent is made of, beside the tools of its servers."""

    name: str
    known: Definitions
    """The agent's own definition and those of its workers."""
    own: Sequence[ToolSpec]
    """Its Python tools."""

    def snapshot(self, servers: Servers | None) -> Snapshot:
        """The snapshot with what the servers have now."""
        definition = self.known[self.name]
        offered: Sequence[ToolSpec] = ()
        if servers is not None:
            offered = servers.specs
            texts = filter(None, (definition.preamble.strip(), servers.preamble))
            definition = definition.model_copy(update={"preamble": "\n\n".join(texts)})
        tools = (*self.own, *offered, *specs(definition, len(offered)))
        return Snapshot.of(self.name, {**self.known, self.name: definition}, tools)


@dataclass
class ToolChanges:
    instance: Instance
    parts: Parts
    servers: Servers
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_PER_HOUR))
    """The times of the last changes, by the monotonic clock."""

    async def serve(self) -> None:
        """Let later runs have what the servers have now, whenever that changes."""
        while True:
            await self.servers.changed.wait()
            if len(self._times) == MOST_PER_HOUR:
                await asyncio.sleep(max(0.0, self._times[0] + HOUR_S - time.monotonic()))
            self.servers.changed.clear()
            await retry(
                self._replace,
                StoreError,
                max_wait_s=LONGEST_WAIT_S,
                on_failure=lambda error: log.warning("tools not changed yet", reason=str(error)),
            )

    async def _replace(self) -> None:
        instance, snapshot = self.instance, self.parts.snapshot(self.servers)
        if snapshot.digest == instance.snapshot.digest:
            return
        await instance.store.write("", lambda db: freeze(db, snapshot.digest, snapshot.body))
        await index_tools(instance.store, snapshot)
        instance.snapshot = snapshot
        self._times.append(time.monotonic())
        log.info("later runs have other tools", tools=len(snapshot.tools))
