"""The state of the system, read at most every few seconds for all its clients."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.gateway.gateway import Gateway
from services.gateway.system.history import LastHour
from shared.client.system.processes import LivingProcesses
from shared.client.system.status import System, SystemStatus, system_status
from shared.errors import BrokerUnavailable, HutchError, StoreUnavailable
from shared.store.queries.stuck import late_runs, owned_runs

FRESH_S = 2.0
ANSWER_S = 8.0
"""Longer than finding a dead process takes; a client waits no longer for the store."""


@dataclass(frozen=True)
class Observed:
    status: SystemStatus
    late: Mapping[str, int]
    """The number of runs by agent that have been due for a minute."""
    abandoned: Mapping[str, int]
    """The number of open runs by agent whose process is dead."""


@dataclass
class Observation:
    gateway: Gateway
    _processes: LivingProcesses = field(init=False)
    history: LastHour = field(init=False)
    _observed: Observed | None = None
    _read_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._processes = LivingProcesses(self.gateway.store)
        self.history = LastHour(self.gateway.store, self.gateway.settings)

    async def observed(self) -> Observed:
        """The newest observation, `FRESH_S` old at most."""
        async with self._lock:
            if self._observed is None or time.monotonic() - self._read_at >= FRESH_S:
                self._observed = await self._read()
                self._read_at = time.monotonic()
            return self._observed

    async def status(self) -> SystemStatus:
        """The whole status, as `hutch status` shows it."""
        return await self._status(reasons=True)

    def forget(self) -> None:
        """Read everything again for the next request: something was changed."""
        self._read_at = float("-inf")

    async def _read(self) -> Observed:
        status = await self._status(reasons=False)
        if status.store is None:
            return Observed(status, {}, {})
        store = self.gateway.store
        living = await self._processes.read()
        abandoned: Counter[str] = Counter()
        for it in await store.read(owned_runs):
            if it.instance not in living:
                abandoned[it.agent] += it.number
        return Observed(status, await store.read(late_runs), abandoned)

    async def _status(self, *, reasons: bool) -> SystemStatus:
        gateway = self.gateway
        faults: list[HutchError] = []
        store = gateway.store if gateway.store.available else None
        broker = gateway.broker if gateway.broker.connected else None
        if store is None:
            faults.append(StoreUnavailable("the store can't be reached"))
        if broker is None:
            faults.append(BrokerUnavailable("no connection to the broker"))
        system = System(
            gateway.settings,
            gateway.folder,
            store,
            self._processes if store else None,
            broker,
            gateway.settings.broker(),
        )
        try:
            async with asyncio.timeout(ANSWER_S):
                return await system_status(system, faults, reasons=reasons)
        except TimeoutError as error:
            raise StoreUnavailable("the store can't be reached") from error
