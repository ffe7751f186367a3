"""The condition of the system that the settings name, for `hutch status` and `hutch doctor`."""

from __future__ import annotations

from contextlib import AsyncExitStack

from services.cli.agents import folder
from services.cli.broker import NoBroker, address
from services.cli.store import opened_store
from shared.broker.connection import Broker, connect
from shared.client.system import status
from shared.client.system.processes import LivingProcesses
from shared.client.system.status import System, SystemStatus
from shared.errors import BrokerError, HutchError, StoreError
from shared.settings.environment import Settings
from shared.store import Store


async def system_status(settings: Settings) -> SystemStatus:
    """What can be read. Raises the broker's error if neither broker nor store can be read, and
    `SettingsError`. Without the broker's address, only the store is read."""
    faults: list[HutchError] = []
    url = ""
    broker: Broker | None = None
    store: Store | None = None
    async with AsyncExitStack() as stack:
        try:
            url = address(settings)
            broker = await stack.enter_async_context(connect(url, "hutch status"))
        except (NoBroker, BrokerError) as error:
            faults.append(error)
        try:
            store = await stack.enter_async_context(opened_store(settings))
        except StoreError as error:
            faults.append(error)
        if store is None and broker is None:
            raise faults[0]
        processes = LivingProcesses(store) if store else None
        system = System(settings, folder(settings), store, processes, broker, url)
        return await status.system_status(system, faults)
