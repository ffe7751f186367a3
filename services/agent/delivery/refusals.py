"""Refusals: a message that can't be processed becomes a dead letter, and its sender is answered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from uuid import uuid4

import structlog
from pydantic import ValidationError
from pydantic_core import from_json

from services.agent.delivery.outbox import Outbox, publish
from services.agent.delivery.requester import reply_to_of
from services.agent.instance import Instance
from shared.broker.consumer import Delivery
from shared.broker.dead_letters import PREFIX, headers, kept
from shared.broker.publisher import Outgoing
from shared.contract.messages import MAX_BODY_BYTES, Response, Status, encode
from shared.contract.topology import DEAD, mailbox_name, reply_address
from shared.errors import BadMessage, BrokerError, BrokerUnavailable, Undeliverable
from shared.store.messages import dead_letters, outbox
from shared.store.messages.outbox import Outbound
from shared.store.runs.run import Run

log = structlog.get_logger()


@dataclass
class Refusals:
    instance: Instance
    outbox: Outbox

    async def keep(self, dead_letter: Outgoing) -> None:
        """Keep a dead letter in the queue `dead`, or in the store if that queue doesn't take it.

        The caller acks, or ends its run, after that. Raises `BrokerUnavailable`, with nothing
        kept anywhere, while there is no connection.
        """
        me, queue = self.instance, dead_letter.routing_key
        try:
            await me.publisher.publish(dead_letter)
        except BrokerUnavailable:
            raise
        except BrokerError as error:  # if unconfirmed, it may be in both: its id shows that
            log.warning("dead letter kept in the store", queue=queue, why=str(error))
            keep = partial(dead_letters.add, dead_letter=kept(dead_letter))
            me.metrics.dead_letters_kept.set(await me.store.write("", keep))
        me.metrics.dead_letters.inc()
        me.announce("message.dead", queue=queue)

    async def give_up(self, run: Run, reason: str) -> None:
        """Keep the message of a run as a dead letter. Raises as `keep` does.

        The requesters are answered when the run's end is committed. If this process dies before,
        the next owner repeats both; a second copy has the same `message_id` and is the same dead
        letter.
        """
        log.warning("run given up", reason=reason)
        queue = mailbox_name(run.agent)
        await self.keep(
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

    def dead_letter(self, delivery: Delivery, reason: str) -> Outgoing:
        """The dead letter of a delivery. It has an id of its own, so that two copies of it count
        as one dead letter."""
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
        """Answer `refused` if the message names a reply queue that its sender may name.

        If that queue doesn't accept the answer now, the outbox sends it later. Raises
        `BrokerUnavailable` while there is no connection.
        """
        try:
            reply_to = reply_to_of(delivery)
        except BadMessage:
            return
        if reply_to is None:
            return
        message = self._refused(delivery, reply_to, reason)
        try:
            await publish(self.instance.publisher, message)
        except Undeliverable as error:
            log.warning("refusal undeliverable", reply_to=reply_to, error=str(error))
        except BrokerUnavailable:
            raise
        except BrokerError as error:
            log.warning("refusal not sent yet", reply_to=reply_to, error=str(error))
            if "\0" not in (message.correlation_id or ""):  # no store can keep that
                await self._leave_to_outbox(message)

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

    async def _leave_to_outbox(self, message: Outgoing) -> None:
        me = self.instance
        outbound = Outbound(
            run_id=uuid4().hex,  # it belongs to no run, and need not keep any order
            exchange=message.exchange,
            routing_key=message.routing_key,
            message_id=message.message_id,
            body=message.body.decode(),
            correlation_id=message.correlation_id,
        )
        add = partial(outbox.add, message=outbound, agent=me.agent, owner=me.id)
        self.outbox.send([await me.store.write("", add)])


def _fields(body: bytes) -> dict[str, object]:
    """The fields of the body, or none if it is not a JSON object."""
    if len(body) <= MAX_BODY_BYTES:
        try:
            fields = from_json(body)
            return fields if isinstance(fields, dict) else {}
        except ValueError:
            pass  # not JSON, which may be the reason for the refusal
    return {}


def _id_of(delivery: Delivery) -> str:
    """The id by which the sender can recognise the refusal: the first one that is valid."""
    for candidate in (
        _fields(delivery.body).get("id"),
        delivery.message_id,
        delivery.correlation_id,
    ):
        try:
            return Response.model_validate(
                {"task_id": candidate, "agent": "", "status": Status.REFUSED, "content": ""}
            ).task_id
        except ValidationError:
            continue
    return "unknown"
