"""Unrouted tasks, which no mailbox has received: an agent process refuses each of them, or declares
the missing mailbox and forwards the task to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import uuid4

from services.agent.delivery.settle import Settlement
from services.agent.intake.mailbox import check_expiration
from shared.broker.connection import Broker
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.contract.access import divided
from shared.contract.topology import TASKS, mailbox
from shared.errors import BadMessage

PREFETCH = 10
"""Such tasks are rare; a task that has to wait must not delay the others."""


@dataclass
class Unrouted:
    broker: Broker
    known: Collection[str]
    """The names of all agents."""
    settlement: Settlement

    async def serve(self, consumer: Consumer) -> None:
        await self.settlement.serve(consumer, PREFETCH, self._receive)

    async def _receive(self, delivery: Delivery) -> None:
        check_expiration(delivery)
        name = delivery.routing_key
        if name not in self.known:
            known = ", ".join(sorted(self.known))
            raise BadMessage(f"no agent '{name[:40]}'; known: {known}")
        if divided(delivery.received_as):  # forwarded, it would seem to come from this process
            raise BadMessage(
                f"'{name}' has no mailbox, or it is not bound: import what 'hutch topology' prints"
            )
        # Its agent has not started yet: the task can wait in the mailbox.
        await self.broker.declare(mailbox(name))
        await self.broker.publisher.publish(
            Outgoing(
                exchange=TASKS,
                routing_key=name,
                body=delivery.body,
                message_id=delivery.message_id or f"unrouted.{uuid4().hex}",
                correlation_id=delivery.correlation_id,
                reply_to=delivery.reply_to,
                content_type=delivery.content_type or "",
            )
        )
