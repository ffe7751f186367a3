"""The outbox: messages that a commit has decided are published until the broker confirms them."""

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
"""The longest wait between two tries while the broker is away or a queue is full."""


class Outbox:
    """Publishes messages: those of one run to one address in order, all others side by side.

    A confirm that timed out means unknown: the message is published again with the same id. A
    response that no queue takes is undeliverable: its row is marked, and it is not tried again.
    """

    def __init__(self, instance: Instance, jobs: asyncio.TaskGroup) -> None:
        self._instance = instance
        self._jobs = jobs
        self._unsent = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._confirmed: list[int] = []
        self._forgetting = False

    def send(self, messages: Iterable[Outbound]) -> None:
        """Publish committed messages; returns at once."""
        # Those that a dead replica has left come mixed.
        in_order = sorted(messages, key=lambda it: (_way(it), it.seq))
        for _, of_way in groupby(in_order, key=_way):
            batch = list(of_way)
            self._count(len(batch))
            self._begin(partial(self._send, batch))

    async def idle(self) -> None:
        """Wait until no message is on its way."""
        while self._sending:
            await asyncio.wait(self._sending)

    def stop(self) -> None:
        """Give up messages on their way: their rows stay, and another instance sends them."""
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
                if not self._forgetting:
                    self._begin(self._forget)
            else:
                undeliverable = partial(outbox.mark_undeliverable, seq=message.seq)
                await self._instance.store.write(message.run_id, undeliverable)
                self._count(-1)

    async def _forget(self) -> None:
        """Delete the rows of confirmed messages.

        Those that are confirmed while one commit is under way share the next.
        """
        self._forgetting = True
        try:
            while self._confirmed:  # two jobs may overlap: each deletes those that it has removed
                seqs, self._confirmed = self._confirmed, []
                await self._instance.store.write("", partial(outbox.remove_sent, seqs=seqs))
                self._count(-len(seqs))
        finally:
            self._forgetting = False

    async def _publish(self, message: Outbound) -> bool:
        """True when the broker has confirmed it, False when no queue takes it."""

        async def once() -> bool:
            try:
                await publish(self._instance.publisher, _outgoing(message))
            except Undeliverable as error:
                log.warning("response undeliverable", run=message.run_id, error=str(error))
                return False
            return True

        failures = self._instance.metrics.publish_failures
        return await retry(once, BrokerError, most_s=RETRY_MOST_S, report=lambda _: failures.inc())

    def _count(self, change: int) -> None:
        self._unsent += change
        self._instance.metrics.outbox_unsent.set(self._unsent)


async def publish(publisher: Publisher, message: Outgoing) -> None:
    """Publish, to a reply queue by its name if need be; raises as `Publisher.publish` does.

    A foreign client's `reply.…` queue need not be bound to our exchange: the default exchange
    reaches every queue by its name.
    """
    try:
        await publisher.publish(message)
    except Undeliverable:
        if message.exchange != REPLIES:
            raise
        await publisher.publish(replace(message, exchange=""))


def _way(message: Outbound) -> tuple[str, str, str]:
    return message.run_id, message.exchange, message.routing_key


def _outgoing(message: Outbound) -> Outgoing:
    return Outgoing(
        exchange=message.exchange,
        routing_key=message.routing_key,
        body=message.body.encode(),
        message_id=message.message_id,
        correlation_id=message.correlation_id,
        # A broadcast or a cancel that reaches no process is no failure.
        mandatory=bool(message.routing_key) and message.exchange != CONTROL,
    )
