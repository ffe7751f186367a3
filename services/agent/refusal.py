"""What can't be processed: kept among the dead letters with its reason, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from services.agent.answering import answer
from services.agent.instance import Instance
from services.agent.vouched import reply_objection
from shared.broker.consuming import Delivery
from shared.broker.publishing import Outgoing
from shared.errors import Undeliverable
from shared.letters import PREFIX, headers
from shared.messages import MAX_BODY_BYTES, REPLY_QUEUE, Response, Status, encode
from shared.store.runs import Run
from shared.topology import DEAD, mailbox_name, reply_address

log = structlog.get_logger()


@dataclass
class Refusal:
    """Both messages are confirmed when `refuse` returns; the caller acks after that."""

    instance: Instance

    async def refuse(self, delivery: Delivery, reason: str) -> None:
        """Dead-letter a delivery and answer `refused` where a `reply_to` of the sender can be read.

        Raises `BrokerError` when the broker doesn't take the dead letter: don't ack then.
        """
        log.warning("message refused", queue=delivery.queue, reason=reason)
        await self._bury(self._dead_letter(delivery, reason))
        if not delivery.reply_to or reply_objection(delivery):
            return
        if REPLY_QUEUE.match(delivery.reply_to):
            await self._answer(delivery, delivery.reply_to, reason)

    async def give_up(self, run: Run, reason: str) -> None:
        """Dead-letter the message of a run; its end answers whoever waits.

        A process that dies between this and the end leaves it to the next one, which does it
        again: the copy has the same `message_id`, and is one letter. Raises `BrokerError` when
        the broker doesn't take it.
        """
        log.warning("run given up", reason=reason)
        queue = mailbox_name(run.agent)
        await self._bury(
            Outgoing(
                exchange=DEAD,
                routing_key=queue,
                body=run.message.encode(),
                message_id=f"{PREFIX}{run.run_id}.{run.epoch}",
                headers=headers(
                    reason,
                    queue=queue,
                    routing_key=run.agent,
                    message_id=run.task_id,
                    sender=from_json(run.message).get("sender") or "",
                    instance=self.instance.id,
                    attempts=max(1, run.attempts + run.failures),
                    run_id=run.run_id,
                    epoch=run.epoch,
                ),
            )
        )

    async def _bury(self, letter: Outgoing) -> None:
        await self.instance.publisher.publish(letter)
        self.instance.metrics.dead_letters.inc()
        self.instance.tell("message.dead", queue=letter.routing_key)

    def _dead_letter(self, delivery: Delivery, reason: str) -> Outgoing:
        redelivered = delivery.headers.get("x-delivery-count")
        return Outgoing(
            exchange=DEAD,
            routing_key=delivery.queue,
            body=delivery.body,
            message_id=f"{PREFIX}{uuid4().hex}",
            correlation_id=delivery.correlation_id,
            reply_to=delivery.reply_to,
            headers=headers(
                reason,
                delivery.headers,
                queue=delivery.queue,
                routing_key=delivery.routing_key,
                message_id=delivery.message_id or "",
                sender=delivery.user_id or delivery.app_id or "",
                instance=self.instance.id,
                attempts=1 + (redelivered if isinstance(redelivered, int) else 0),
            ),
            content_type=delivery.content_type or "application/octet-stream",
        )

    async def _answer(self, delivery: Delivery, reply_to: str, reason: str) -> None:
        task_id = _id_of(delivery)
        response = Response(
            id=f"{task_id[:100]}.refused",
            task_id=task_id,
            sender=self.instance.agent,
            agent=self.instance.agent,
            status=Status.REFUSED,
            content=reason,
        )
        exchange, key = reply_address(reply_to)
        message = Outgoing(
            exchange=exchange,
            routing_key=key,
            body=encode(response),
            message_id=response.id or "",
            correlation_id=delivery.correlation_id,
        )
        try:
            await answer(self.instance.publisher, message)
        except Undeliverable as error:
            log.warning("refusal undeliverable", reply_to=reply_to, error=str(error))


def _id_of(delivery: Delivery) -> str:
    """The id that the sender can recognise, as far as it can be read."""
    candidates = [delivery.message_id, delivery.correlation_id]
    if len(delivery.body) <= MAX_BODY_BYTES:
        try:
            fields = from_json(delivery.body)
            candidates.insert(0, fields.get("id") if isinstance(fields, dict) else None)
        except ValueError:
            pass  # not JSON: that is why it is refused
    for candidate in candidates:
        try:
            return Response(task_id=candidate, agent="", status=Status.REFUSED, content="").task_id
        except ValidationError:
            continue
    return "unknown"
