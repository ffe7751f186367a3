"""The mailbox: a delivery becomes a committed claim, then it is acked.

It is consumed only while a new run could start at once, so that replicas share the work, and while
the store is there to claim it. What arrives all the same is claimed as a run that is due now: no
delivery waits unacked, but for the store.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from dataclasses import dataclass

from services.agent.delivery.message_ids import DrawnIds
from services.agent.delivery.senders import check, check_reply_to, speakers
from services.agent.delivery.settle import Settling
from services.agent.intake.claim import Intake
from services.agent.intake.task_limit import cause
from services.agent.runs.admission import Slots
from services.agent.upkeep.heartbeat import Sweeper
from shared.broker.consumer import Consumer, Delivery
from shared.broker.tolerant_decoding import Unreadable
from shared.contract.messages import REPLY_QUEUES, Task, Trigger, decode
from shared.contract.reply_queues import is_reply_queue
from shared.errors import BadMessage
from shared.store import Store
from shared.store.messages.requesters import Requester

_PRINTABLE = re.compile(r"[ -~]{0,255}")
"""What the name of a reply queue may have in it."""

MOST_PREFETCH = 64
"""Deliveries on their way while slots fill: those that wait together share a commit."""

WIDEN_S = 0.2
"""Until the next look whether more slots are free than deliveries may be on their way."""


@dataclass
class Mailbox:
    consumer: Consumer
    intake: Intake
    settling: Settling
    slots: Slots
    sweeper: Sweeper

    @property
    def serving(self) -> bool:
        """New tasks are taken, or would be if all slots were not at work."""
        return self.consumer.consuming or self.slots.full.is_set()

    @property
    def _store(self) -> Store:
        return self.intake.instance.store

    async def serve(self) -> None:
        """Receive every delivery in a job of its own, until cancelled.

        What is not settled by then goes back to the queue: it holds up no process that ends.
        """
        async with asyncio.TaskGroup() as jobs:
            async for delivery in self.consumer:
                jobs.create_task(self.settling.settle(delivery, self._receive))

    async def regulate(self) -> None:
        """Consume while a run could start at once, no due one waits, and the store is there.

        A delivery that waits for the store comes again with each lost connection, and the broker
        gives it up after some of them.
        """
        while True:
            await self.sweeper.caught_up.wait()
            await self.slots.vacant.wait()
            await self._store.here.wait()
            await self._consume()
            await self.consumer.stop()

    async def _consume(self) -> None:
        """Until all slots are at work; what began with one free slot widens as others come free."""
        prefetch, widest = 0, min(self.slots.concurrency, MOST_PREFETCH)
        ends = (self.slots.full, self._store.away)
        while not any(end.is_set() for end in ends):
            prefetch = max(prefetch, min(self.slots.free, widest))
            await self.consumer.start(prefetch)
            await _first_of(ends, WIDEN_S if prefetch < widest else None)

    async def _receive(self, delivery: Delivery) -> None:
        check_expiration(delivery)
        message = decode(delivery.body, delivery.content_type)
        if not isinstance(message, Task | Trigger):
            raise BadMessage(
                f"a mailbox takes tasks and triggers, not a {message.type}; "
                "shutdowns and cancels go to hutch.control, responses to reply queues"
            )
        check(delivery, *speakers(message, self.intake.instance.known))
        check_reply_to(delivery)
        requester = requester_of(delivery)
        message = identified(message, delivery, self.settling.ids)
        because = cause(message, delivery, self.intake.instance.known)
        await self.intake.accept(message, message.type, requester, because)


async def _first_of(events: Collection[asyncio.Event], timeout_s: float | None) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def check_expiration(delivery: Delivery) -> None:
    """Raises `BadMessage` for a task with a time to live: one that passes is never answered."""
    if delivery.expiration is not None:
        raise BadMessage(
            "expiration: the broker may drop such a task unanswered; put a `deadline` in the body "
            "instead"
        )


def identified(message: Task | Trigger, delivery: Delivery, ids: DrawnIds) -> Task | Trigger:
    """The message under its id: the body's, else the AMQP `message_id`, else a drawn one."""
    if message.id is not None:
        return message
    given = delivery.message_id or ids.of(delivery)
    try:
        return type(message).model_validate(message.model_dump(by_alias=True) | {"id": given})
    except ValueError as error:
        raise BadMessage(
            "message_id: an id is at most 128 printable ASCII characters without spaces"
        ) from error


def requester_of(delivery: Delivery) -> Requester | None:
    """Who wants the response; raises `BadMessage` for an address that isn't a reply queue, or a
    `correlation_id` that could not be sent back as it came."""
    reply_to, correlation_id = delivery.reply_to, delivery.correlation_id or ""
    if not reply_to:
        return None
    if not _PRINTABLE.fullmatch(reply_to):
        raise BadMessage("reply_to: at most 255 printable ASCII characters name a reply queue")
    if isinstance(correlation_id, Unreadable) or "\0" in correlation_id:
        raise BadMessage(
            "correlation_id: it is not UTF-8 or has a NUL in it, and could not be sent back as it "
            "came; send other text"
        )
    if not is_reply_queue(reply_to):
        raise BadMessage(f"reply_to: '{reply_to}' is no reply queue; {REPLY_QUEUES}")
    return Requester(reply_to, correlation_id)
