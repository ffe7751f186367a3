"""The queue of the texts of those runs that clients follow now, and of no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog

from shared.broker.connection import Broker
from shared.contract.entities import Binding
from shared.contract.topology import STREAM
from shared.errors import BrokerError

log = structlog.get_logger()

BOUND_WITHIN_S = 1.0
"""So long a client waits for the binding, which takes a millisecond. Text that is published before
it comes later, from the journal."""


@dataclass
class _Root:
    clients: int = 0
    bound: asyncio.Event = field(default_factory=asyncio.Event)


class Texts:
    def __init__(self, broker: Broker, queue: str) -> None:
        self.queue = queue
        self._broker = broker
        self._roots: dict[str, _Root] = {}
        self._bound: set[str] = set()
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def of(self, root_id: str) -> AsyncIterator[None]:
        """Receive the texts of this root's runs for the time of the context."""
        root = self._roots.setdefault(root_id, _Root())
        root.clients += 1
        self._changed.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(BOUND_WITHIN_S):
                    await root.bound.wait()
            yield
        finally:
            root.clients -= 1
            if not root.clients:
                del self._roots[root_id]
                self._changed.set()

    async def keep(self) -> None:
        """Bind and unbind the queue as clients come and go, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            for root_id in self._bound - self._roots.keys():
                self._bound.remove(root_id)
                await self._broker.unbind(Binding(STREAM, self.queue, root_id))
            for root_id, root in list(self._roots.items()):
                if root_id not in self._bound:
                    self._bound.add(root_id)
                    await self._bind(root_id)
                root.bound.set()

    async def _bind(self, root_id: str) -> None:
        try:
            await self._broker.bind(Binding(STREAM, self.queue, root_id))
        except BrokerError as error:  # the text comes later, from the journal
            log.warning("no text of a run", root=root_id, reason=str(error))
