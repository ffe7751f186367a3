"""What can't be processed: kept among the dead letters with its reason, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from services.agent.answering import answer
from services.agent.instance import Instance
from shared.broker.consuming import Delivery
from shared.broker.publishing import Outgoing
from shared.errors import Undeliverable
from shared.messages import MAX_BODY_BYTES, REPLY_QUEUE, Response, Status, encode
from shared.store.runs import Run
from shared.topology import DEAD, mailbox_name, reply_address

log = structlog.get_logger()

MOST_REASON_CHARS = 500
"""Headers share one AMQP frame; a reason is a sentence."""


@dataclass
class Refusal:
    """Both messages are confirmed when `refuse` returns; the caller acks after that."""

    instance: Instance

    async def refuse(self, delivery: Delivery, reason: str) -> None:
        """Dead-letter a delivery and answer `refused` where a `reply_to` can be read.

        Raises `BrokerError` when the broker doesn't take the dead letter: don't ack then.
        """
        log.warning("message refused", queue=delivery.queue, reason=reason)
        await self._bury(self._dead_letter(delivery, reason))
        if delivery.reply_to and REPLY_QUEUE.match(delivery.reply_to):
            await self._answer(delivery, delivery.reply_to, reason)

    async def give_up(self, run: Run, reason: str) -> None:
        """Dead-letter the message of a run; its end answers whoever waits.

        A process that dies between this and the end leaves it to the next one, which does it
        again: the copy has the same `message_id`. Raises `BrokerError` when the broker doesn't
        take the dead letter.
        """
        log.warning("run given up", reason=reason)
        queue = mailbox_name(run.agent)
        await self._bury(
            Outgoing(
                exchange=DEAD,
                routing_key=queue,
                body=run.message.encode(),
                message_id=f"dead.{run.run_id}",
                headers=self._said(reason, queue, run.agent, run.task_id, ""),
            )
        )

    async def _bury(self, letter: Outgoing) -> None:
        await self.instance.publisher.publish(letter)
        self.instance.metrics.dead_letters.inc()
        self.instance.tell("message.dead", queue=letter.routing_key)

    def _said(
        self, reason: str, queue: str, routing_key: str, message_id: str, sender: str
    ) -> dict[str, str]:
        return {
            "x-hutch-reason": reason[:MOST_REASON_CHARS],
            "x-hutch-queue": queue,
            "x-hutch-routing-key": routing_key,
            "x-hutch-message-id": message_id,
            "x-hutch-sender": sender,
            "x-hutch-instance": self.instance.id,
        }

    def _dead_letter(self, delivery: Delivery, reason: str) -> Outgoing:
        sender = delivery.user_id or delivery.app_id or ""
        message_id = delivery.message_id or ""
        return Outgoing(
            exchange=DEAD,
            routing_key=delivery.queue,
            body=delivery.body,
            message_id=f"dead.{uuid4().hex}",
            correlation_id=delivery.correlation_id,
            reply_to=delivery.reply_to,
            headers=self._said(reason, delivery.queue, delivery.routing_key, message_id, sender),
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
