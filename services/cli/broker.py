"""A command's connection to the broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.cli.machine.home import HOME, broker_url
from services.cli.places import IN_COMPOSE, compose_hint
from shared.broker.connection import Broker, connect
from shared.contract import topology
from shared.errors import Forbidden, SettingsError
from shared.settings.environment import Settings

ENDED = "'hutch up' does not run in this folder: start it, or set RABBITMQ_URL"


class NoBroker(SettingsError):
    """No broker is set, and none runs in this folder."""


def address(settings: Settings) -> str:
    """RABBITMQ_URL; else the URL of the broker that 'hutch up' runs in this folder.

    Raises `NoBroker` if there is neither, and `SettingsError`.
    """
    if (given := settings.given_broker() or broker_url(HOME)) is not None:
        return given
    hint = compose_hint(settings)
    try:
        return settings.broker()
    except SettingsError as error:
        sentence = ENDED if HOME.is_dir() else str(error)
        raise NoBroker(f"{sentence}; {hint}" if hint else sentence) from error


RIGHTS = (
    f"commands have a user of their own: '{IN_COMPOSE} …', or in Kubernetes "
    "'kubectl -n hutch exec deploy/operator -- hutch …'"
)
"""How a command gets the rights that the user of an agent's container lacks."""


@asynccontextmanager
async def opened_broker(settings: Settings) -> AsyncIterator[Broker]:
    """A connection; the exchanges are declared. Raises `SettingsError`, `BrokerError`."""
    try:
        async with connect(address(settings), "hutch command") as broker:
            await broker.declare(topology.system())
            yield broker
    except Forbidden as error:
        raise Forbidden(f"{error}; {RIGHTS}") from error
