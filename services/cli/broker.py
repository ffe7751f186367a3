"""A command's connection to the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cli.machine.home import HOME, broker_url
from shared.broker.connection import Broker, connect
from shared.contract import topology
from shared.settings.environment import Settings


def address(settings: Settings) -> str:
    """RABBITMQ_URL; else the URL of the broker that 'hutch up' runs in this folder.

    Raises `SettingsError` if there is neither.
    """
    running = broker_url(HOME) if settings.given_broker() is None else None
    return running or settings.broker()


@asynccontextmanager
async def opened_broker(settings: Settings) -> AsyncIterator[Broker]:
    """A connection; the exchanges are declared. Raises `SettingsError`, `BrokerError`."""
    async with connect(address(settings), "hutch command") as broker:
        await broker.declare(topology.system())
        yield broker
