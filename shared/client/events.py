"""The events of agents, as a client receives them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel, ValidationError

from shared.broker.connection import Broker
from shared.broker.consumer import Consumer
from shared.contract import topology

T = TypeVar("T", bound=BaseModel)

PREFETCH = 100
"""For messages that are acked as soon as they are read."""


async def subscribe(broker: Broker, agents: Collection[str] = ()) -> Consumer:
    """A consumer of the events from now on, of these agents or of all.

    Its queue ends with the connection: what happens until a lost one is restored is not in it.
    """
    name = uuid4().hex[:12]
    await broker.declare(topology.client_events(name, agents))
    consumer = await broker.consumer(topology.client_events_name(name))
    await consumer.start(PREFETCH)
    return consumer


async def received(consumer: Consumer, kind: type[T]) -> AsyncIterator[T]:
    """The messages of one kind that a consumer receives. Others are left out: any user of the
    broker may publish there."""
    async for delivery in consumer:
        await delivery.ack()
        try:
            message = kind.model_validate_json(delivery.body)
        except ValidationError:
            continue
        yield message
