"""The mailbox: each delivery is claimed, which is one commit, and then acked.

It is consumed only while a new run could start at once, so that replicas share the work, and while
the store is available. A delivery that arrives when no slot is free is claimed as a due run: no
delivery waits unacked, unless the store is unavailable.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.agent.delivery.requester import requester_of
from services.agent.delivery.senders import check_sender, named_users
from services.agent.delivery.settle import Settlement
from services.agent.intake.claim import Claims
from services.agent.intake.task_limit import causing_agent
from services.agent.runs.admission import Admission
from shared.broker.consumer import Consumer, Delivery
from shared.concurrency.first import first_of
from shared.contract.messages import Task, Trigger, decode
from shared.errors import BadMessage

MOST_PREFETCH = 64
"""The most deliveries in progress at once: those that arrive together share a commit."""

WIDEN_S = 0.2
"""The interval at which the prefetch is compared with the free slots, while it could still grow."""


@dataclass
class Mailbox:
    consumer: Consumer
    claims: Claims
    settlement: Settlement
    admission: Admission

    @property
    def serving(self) -> bool:
        """Whether the mailbox is consumed, or would be if the process were not busy."""
        return self.consumer.consuming or self.admission.busy.is_set()

    async def serve(self) -> None:
        """Settle every delivery in a job of its own, until cancelled.

        A delivery that is not settled by then goes back to the queue, so that it does not keep the
        process from ending.
        """
        async with asyncio.TaskGroup() as jobs:
            async for delivery in self.consumer:
                jobs.create_task(self.settlement.settle(delivery, self._receive))

    async def regulate(self) -> None:
        """Consume while admission accepts deliveries and the store is available, until cancelled.

        Without its store the process could claim nothing. Each lost connection would be one more
        delivery of what waits, and the broker gives up a message after too many deliveries.
        """
        while True:
            await self.admission.accepting.wait()
            await self.claims.instance.store.reachable.wait()
            await self._consume()
            await self.consumer.stop()

    async def _consume(self) -> None:
        """Consume until the process is busy or the store is unavailable.

        The prefetch is the number of free slots. It grows as more of them become free.
        """
        busy, away = self.admission.busy, self.claims.instance.store.unreachable
        prefetch, widest = 0, min(self.admission.concurrency, MOST_PREFETCH)
        while not busy.is_set() and not away.is_set():
            prefetch = max(prefetch, min(self.admission.free, widest))
            await self.consumer.start(prefetch)
            again_s = WIDEN_S if prefetch < widest else None
            await first_of(busy.wait(), away.wait(), timeout_s=again_s)

    async def _receive(self, delivery: Delivery) -> None:
        check_expiration(delivery)
        message = decode(delivery.body, delivery.content_type)
        if not isinstance(message, Task | Trigger):
            raise BadMessage(
                f"a mailbox takes tasks and triggers, not a {message.type}; "
                "shutdowns and cancels go to hutch.control, responses to reply queues"
            )
        known = self.claims.instance.known
        check_sender(delivery, *named_users(message, known))
        requester = requester_of(delivery)
        message = self.settlement.ids.with_id(message, delivery)
        await self.claims.accept(
            message, message.type, requester, causing_agent(message, delivery, known)
        )


def check_expiration(delivery: Delivery) -> None:
    """Raises `BadMessage` for a message that can expire: the broker would drop it unanswered."""
    if delivery.expiration is not None:
        raise BadMessage(
            "expiration: the broker may drop such a task unanswered; put a `deadline` in the body "
            "instead"
        )
