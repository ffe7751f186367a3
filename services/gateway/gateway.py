"""The connections and settings that all requests of the gateway share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from shared.broker.connection import Broker
from shared.definitions.loader import Folder
from shared.process.stopping import Stopping
from shared.settings.environment import Settings
from shared.settings.gateway import GatewaySettings
from shared.store import Store


@dataclass
class Gateway:
    """The connections of this process. It holds no state that another gateway would miss."""

    settings: Settings
    own: GatewaySettings
    """The variables that only the gateway reads."""
    store: Store
    broker: Broker
    folder: Folder
    """The agents' files as they were at the start."""
    stopping: Stopping
    instance: str


def of(request: Request) -> Gateway:
    """The gateway that a request has reached, as a dependency of FastAPI."""
    gateway: Gateway = request.app.state.gateway
    return gateway


SharedGateway = Annotated[Gateway, Depends(of)]
"""As a parameter of a route."""
