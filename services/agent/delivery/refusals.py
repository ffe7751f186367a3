"""What can't be processed: kept among the dead letters with its reason, and answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from services.agent.delivery.answering import answer
from services.agent.delivery.outbox import Relay
from services.agent.delivery.senders import reply_objection
from services.agent.instance import Instance
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import PREFIX, headers, kept
from shared.broker.publisher import Outgoing
from shared.contract.messages import MAX_BODY_BYTES, Response, Status, encode
from shared.contract.reply_queues import is_reply_queue
from shared.contract.topology import DEAD, mailbox_name, reply_address
from shared.errors import BrokerError, BrokerUnavailable, Undeliverable
from shared.store.messages import dead_letters, outbox
from shared.store.messages.outbox import Outbound
from shared.store.runs.run import Run

log = structlog.get_logger()


@dataclass
class Refusal:
    instance: Instance
    relay: Relay

    async def bury(self, letter: Outgoing) -> None:
        """Keep a dead letter: in the queue `dead`, or in the store where that doesn't take it.

        The caller acks, or ends its run, after that. Raises `BrokerUnavailable`, with nothing
        kept anywhere, while there is no connection.
        """
        me = self.instance
        try:
            await me.publisher.publish(letter)
        except BrokerUnavailable:
            raise
        except BrokerError as error:  # unconfirmed it may be there too: it is one by its id
            log.warning("dead letter kept in the store", queue=letter.routing_key, why=str(error))
            keep = partial(dead_letters.add, letter=kept(letter))
            me.metrics.dead_letters_kept.set(await me.store.write("", keep))
        me.metrics.dead_letters.inc()
        me.tell("message.dead", queue=letter.routing_key)

    async def give_up(self, run: Run, reason: str) -> None:
        """Dead-letter the message of a run; its end answers the requesters. Raises as `bury`.

        A process that dies between this and the end leaves it to the next one, which does it
        again: the copy has the same `message_id`, and is one letter.
        """
        log.warning("run given up", reason=reason)
        queue = mailbox_name(run.agent)
        await self.bury(
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
                    sender=str(_fields(run.message.encode()).get("sender") or ""),
                    instance=self.instance.id,
                    attempts=max(1, run.attempts + run.failures),
                    run_id=run.run_id,
                    epoch=run.epoch,
                ),
            )
        )

    def letter(self, delivery: Delivery, reason: str) -> Outgoing:
        """The dead letter of a delivery; its id is its own: tried again, it is one letter."""
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
                attempts=1 + delivery.redeliveries,
            ),
            content_type=delivery.content_type or "application/octet-stream",
        )

    async def answer(self, delivery: Delivery, reason: str) -> None:
        """Answer `refused` where a `reply_to` of the sender can be read.

        A queue that doesn't take it now gets it by way of the outbox. Raises `BrokerUnavailable`
        while there is no connection.
        """
        reply_to = delivery.reply_to
        if not reply_to or not is_reply_queue(reply_to) or reply_objection(delivery):
            return
        message = self._refused(delivery, reply_to, reason)
        try:
            await answer(self.instance.publisher, message)
        except Undeliverable as error:
            log.warning("refusal undeliverable", reply_to=reply_to, error=str(error))
        except BrokerUnavailable:
            raise
        except BrokerError as error:
            log.warning("refusal not sent yet", reply_to=reply_to, error=str(error))
            if "\0" not in (message.correlation_id or ""):  # no store can keep that
                await self._leave_to_relay(message)

    def _refused(self, delivery: Delivery, reply_to: str, reason: str) -> Outgoing:
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
        return Outgoing(
            exchange=exchange,
            routing_key=key,
            body=encode(response),
            message_id=response.id or "",
            correlation_id=delivery.correlation_id,
        )

    async def _leave_to_relay(self, message: Outgoing) -> None:
        me = self.instance
        outbound = Outbound(
            run_id=uuid4().hex,  # of no run, and in no order with others
            exchange=message.exchange,
            routing_key=message.routing_key,
            message_id=message.message_id,
            body=message.body.decode(),
            correlation_id=message.correlation_id,
        )
        add = partial(outbox.add, message=outbound, agent=me.agent, owner=me.id)
        self.relay.send([await me.store.write("", add)])


def _fields(body: bytes) -> dict[str, object]:
    """Of a JSON object; none of anything else."""
    if len(body) <= MAX_BODY_BYTES:
        try:
            fields = from_json(body)
            return fields if isinstance(fields, dict) else {}
        except ValueError:
            pass  # not JSON: that may be why it is refused
    return {}


def _id_of(delivery: Delivery) -> str:
    """The id that the sender can recognise, as far as it can be read."""
    for candidate in (
        _fields(delivery.body).get("id"),
        delivery.message_id,
        delivery.correlation_id,
    ):
        try:
            return Response.model_validate(
                {"task_id": candidate, "agent": "", "status": "refused", "content": ""}
            ).task_id
        except ValidationError:
            continue
    return "unknown"
