"""The outbox: publishes the messages of committed runs until the broker confirms them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import groupby

import structlog

from services.agent.instance import Instance
from shared.broker.publisher import Outgoing, Publisher
from shared.concurrency.fault_boundary import contained
from shared.concurrency.retry import retry
from shared.contract.topology import CONTROL, REPLIES
from shared.errors import BrokerError, Undeliverable
from shared.store.messages import outbox
from shared.store.messages.outbox import Outbound

log = structlog.get_logger()

RETRY_MOST_S = 5.0
"""The longest wait between two attempts while the broker is unavailable or a queue is full."""

DELETE_WITHIN_S = 0.2
"""The time in which the row of a confirmed message is deleted, with the next commit or without.
If the process dies before, the message is published again with the same id."""


class Outbox:
    """Publishes messages: in order those of one run to one address, concurrently all others.

    If a confirm times out, it is unknown whether the broker has the message: it is published again
    with the same id. A response that no queue takes is undeliverable: its row is marked, and it is
    not published again.
    """

    def __init__(self, instance: Instance, jobs: asyncio.TaskGroup) -> None:
        self._instance = instance
        self._jobs = jobs
        self._unsent = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._confirmed: list[int] = []
        self._deleting = False

    def send(self, messages: Iterable[Outbound]) -> None:
        """Publish committed messages; returns at once."""
        # The messages of a dead replica are not in order.
        in_order = sorted(messages, key=lambda it: (_route(it), it.seq))
        for _, of_route in groupby(in_order, key=_route):
            batch = list(of_route)
            self._count(len(batch))
            self._begin(partial(self._send, batch))

    async def idle(self) -> None:
        """Wait until no message is being sent."""
        while self._sending:
            await asyncio.wait(self._sending)

    def stop(self) -> None:
        """Stop sending: the rows of unsent messages stay, and another instance sends them."""
        for job in self._sending:
            job.cancel()

    def _begin(self, work: Callable[[], Awaitable[None]]) -> None:
        job = self._jobs.create_task(contained(work, "messages left in the outbox"))
        self._sending.add(job)
        job.add_done_callback(self._sending.discard)

    async def _send(self, batch: list[Outbound]) -> None:
        for message in batch:
            if await self._publish(message):
                self._confirmed.append(message.seq)
                if not self._deleting:
                    self._begin(self._delete_confirmed)
            else:
                undeliverable = partial(outbox.mark_undeliverable, seq=message.seq)
                await self._instance.store.write(message.run_id, undeliverable)
                self._count(-1)

    async def _delete_confirmed(self) -> None:
        """Delete the rows of confirmed messages.

        Messages that are confirmed during one commit share the next.
        """
        self._deleting = True
        try:
            while self._confirmed:  # two jobs may overlap: each takes other rows from the list
                seqs, self._confirmed = self._confirmed, []
                remove = partial(outbox.remove_sent, seqs=seqs)
                await self._instance.store.write("", remove, within_s=DELETE_WITHIN_S)
                self._count(-len(seqs))
        finally:
            self._deleting = False

    async def _publish(self, message: Outbound) -> bool:
        """True once the broker has confirmed the message, False if no queue takes it."""

        async def once() -> bool:
            try:
                await publish(self._instance.publisher, _outgoing(message))
            except Undeliverable as error:
                log.warning("response undeliverable", run=message.run_id, error=str(error))
                return False
            return True

        failures = self._instance.metrics.publish_failures
        return await retry(
            once, BrokerError, max_wait_s=RETRY_MOST_S, on_failure=lambda _: failures.inc()
        )

    def _count(self, change: int) -> None:
        self._unsent += change
        self._instance.metrics.outbox_unsent.set(self._unsent)


async def publish(publisher: Publisher, message: Outgoing) -> None:
    """Publish a message; raises as `Publisher.publish` does.

    A response that its exchange can't route is published to the default exchange, which reaches
    every queue by its name: a foreign client's `reply.…` queue need not be bound to our exchange.
    """
    try:
        await publisher.publish(message)
    except Undeliverable:
        if message.exchange != REPLIES:
            raise
        await publisher.publish(replace(message, exchange=""))


def _route(message: Outbound) -> tuple[str, str, str]:
    return message.run_id, message.exchange, message.routing_key


def _outgoing(message: Outbound) -> Outgoing:
    return Outgoing(
        exchange=message.exchange,
        routing_key=message.routing_key,
        body=message.body.encode(),
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        # It is no failure if no process receives a broadcast or a cancel.
        mandatory=bool(message.routing_key) and message.exchange != CONTROL,
    )
