"""Tasks to nobody: any agent process answers them, or opens a mailbox that isn't there yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import uuid4

from services.agent.delivery.settle import Settling
from services.agent.intake.mailbox import check_expiration
from shared.broker.connection import Broker
from shared.broker.consumer import Consumer, Delivery
from shared.broker.publisher import Outgoing
from shared.contract.access import divided
from shared.contract.topology import TASKS, mailbox
from shared.errors import BadMessage

PREFETCH = 10
"""Mistakes are rare; one that has to wait leaves room for others."""


@dataclass
class Unrouted:
    broker: Broker
    known: Collection[str]
    """The names of all agents."""
    settling: Settling

    async def serve(self, consumer: Consumer) -> None:
        await self.settling.each(consumer, PREFETCH, self._receive)

    async def _receive(self, delivery: Delivery) -> None:
        check_expiration(delivery)
        name = delivery.routing_key
        if name not in self.known:
            known = ", ".join(sorted(self.known))
            raise BadMessage(f"no agent '{name[:40]}'; known: {known}")
        if divided(delivery.received_as):  # sent on by us, it would bear our user's name
            raise BadMessage(
                f"'{name}' has no mailbox, or it is not bound: import what 'hutch topology' prints"
            )
        await self.broker.declare(mailbox(name))  # its agent has not started yet: it may wait
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
