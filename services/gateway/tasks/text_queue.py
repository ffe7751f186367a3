"""The queue of the texts of those runs that clients follow now, and of no others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Set
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


class TextQueue:
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
            gone, new = self._bound - self._roots.keys(), self._roots.keys() - self._bound
            self._bound = set(self._roots)
            if new:
                await self._bind(new)
            for root_id in self._bound & self._roots.keys():
                self._roots[root_id].bound.set()
            if gone:
                await self._broker.unbind(*self._bindings(gone))

    async def _bind(self, root_ids: Set[str]) -> None:
        try:
            await self._broker.bind(*self._bindings(root_ids))
        except BrokerError as error:  # the text comes later, from the journal
            log.warning("no text of runs", reason=str(error))

    def _bindings(self, root_ids: Set[str]) -> Iterator[Binding]:
        return (Binding(STREAM, self.queue, root_id) for root_id in root_ids)
