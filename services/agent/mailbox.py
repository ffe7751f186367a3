"""The mailbox: a delivery becomes a committed claim, then it is acked.

It is consumed only while a new run could start at once, so that replicas share the work. What
arrives all the same is claimed as a run that is due now: no delivery ever waits unacked.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass

from services.agent.intake import Intake
from services.agent.refusal import Refusal
from services.agent.settling import settle
from services.agent.slots import Slots
from services.agent.sweeper import Sweeper
from services.agent.vouched import check, check_reply_to, speakers
from shared.broker.consuming import Consumer, Delivery
from shared.errors import BadMessage
from shared.messages import REPLY_QUEUE, Task, Trigger, decode
from shared.store.requesters import Requester

_PRINTABLE = re.compile(r"[ -~]{0,255}")
"""What an AMQP short string can carry and any store can keep."""

MOST_PREFETCH = 64
"""Deliveries on their way while slots fill: those that wait together share a commit."""

WIDEN_S = 0.2
"""Until the next look whether more slots are free than deliveries may be on their way."""


@dataclass
class Mailbox:
    consumer: Consumer
    intake: Intake
    refusal: Refusal
    slots: Slots
    sweeper: Sweeper
    jobs: asyncio.TaskGroup

    @property
    def serving(self) -> bool:
        """New tasks are taken, or would be if all slots were not at work."""
        return self.consumer.consuming or self.slots.full.is_set()

    async def serve(self) -> None:
        """Receive every delivery in a job of its own, until cancelled."""
        async for delivery in self.consumer:
            self.jobs.create_task(settle(delivery, self._receive, self.refusal))

    async def regulate(self) -> None:
        """Consume while a run could start at once and no due one waits."""
        while True:
            await self.sweeper.caught_up.wait()
            await self.slots.vacant.wait()
            await self._consume()
            await self.consumer.stop()

    async def _consume(self) -> None:
        """Until all slots are at work; what began with one free slot widens as others come free."""
        prefetch, widest = 0, min(self.slots.concurrency, MOST_PREFETCH)
        while not self.slots.full.is_set():
            prefetch = max(prefetch, min(self.slots.free, widest))
            await self.consumer.start(prefetch)
            with suppress(TimeoutError):
                async with asyncio.timeout(WIDEN_S if prefetch < widest else None):
                    await self.slots.full.wait()

    async def _receive(self, delivery: Delivery) -> None:
        message = decode(delivery.body, delivery.content_type)
        if not isinstance(message, Task | Trigger):
            raise BadMessage(
                f"a mailbox takes tasks and triggers, not a {message.type}; "
                "shutdowns and cancels go to hutch.control, responses to reply queues"
            )
        check(delivery, *speakers(message, self.intake.instance.known))
        check_reply_to(delivery)
        message = identified(message, delivery)
        await self.intake.accept(message, message.type, requester_of(delivery))


def identified(message: Task | Trigger, delivery: Delivery) -> Task | Trigger:
    """The message under its id: the body's, else the AMQP `message_id`."""
    if message.id is not None or not delivery.message_id:
        return message
    fields = message.model_dump(by_alias=True) | {"id": delivery.message_id}
    try:
        return type(message).model_validate(fields)
    except ValueError as error:
        raise BadMessage(
            "message_id: an id is at most 128 printable ASCII characters without spaces"
        ) from error


def requester_of(delivery: Delivery) -> Requester | None:
    """Who wants the response; raises `BadMessage` for an address that isn't a reply queue."""
    if not delivery.reply_to:
        return None
    for value in (delivery.reply_to, delivery.correlation_id or ""):
        if not _PRINTABLE.fullmatch(value):
            raise BadMessage("reply_to and correlation_id are at most 255 printable characters")
    if not REPLY_QUEUE.match(delivery.reply_to):
        raise BadMessage(
            f"reply_to: '{delivery.reply_to}' is no reply queue; name it reply.…, "
            "or use a queue that the broker named, or direct reply-to"
        )
    return Requester(delivery.reply_to, delivery.correlation_id or "")
