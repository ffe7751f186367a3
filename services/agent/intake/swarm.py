"""What an agent hears of its swarm: responses become notes, triggers wake it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.agent.delivery.senders import check, speakers
from services.agent.delivery.settle import Settling
from services.agent.instance import Instance
from services.agent.intake.claim import OWN_ID, Intake
from services.agent.intake.mailbox import identified
from services.agent.intake.task_limit import cause
from shared.broker.consumer import Consumer, Delivery
from shared.contract.access import agent_user
from shared.contract.messages import Response, Trigger, decode, run_id
from shared.errors import BadMessage
from shared.store.messages import notes

log = structlog.get_logger()

PREFETCH = 10
"""Each is one small commit; the queue itself is bounded and forgets the oldest."""

MOST_HOPS = 4
"""Broadcasts in one chain of reactions, after which peers only remember."""


@dataclass
class Swarm:
    instance: Instance
    intake: Intake
    settling: Settling

    async def serve(self, consumer: Consumer) -> None:
        await self.settling.each(consumer, PREFETCH, self._hear, self.instance.store)

    async def _hear(self, delivery: Delivery) -> None:
        message = decode(delivery.body, delivery.content_type)
        if isinstance(message, Trigger):
            check(delivery, *speakers(message, self.instance.known))
            message = identified(message, delivery, self.settling.ids)
            because = cause(message, delivery, self.instance.known)
            await self.intake.accept(message, "trigger", cause=because)
        elif not isinstance(message, Response):
            raise BadMessage(f"a swarm hears responses and triggers, not a {message.type}")
        elif message.agent != self.instance.agent:
            check(delivery, agent_user(message.agent))
            await self._remember(message)

    async def _remember(self, response: Response) -> None:
        # The peer's name is part of it: no other peer can be heard under this id first.
        message_id = OWN_ID + run_id(response.agent, response.id or response.task_id)
        me = self.instance
        fresh = await me.store.write(
            "",
            lambda connection: notes.remember(
                connection, me.agent, message_id, response.agent, response.content
            ),
        )
        if fresh:
            log.info("note heard", peer=response.agent)
        me.tell("note.heard", peer=response.agent)
        # Not only when fresh: whoever noted it may have died before the reaction was claimed.
        if me.definition.on_peer == "react":
            await self._react(response, message_id)

    async def _react(self, response: Response, message_id: str) -> None:
        if response.hops >= MOST_HOPS:
            log.warning("hop limit reached", peer=response.agent, hops=response.hops)
            self.instance.tell("hops.limit", peer=response.agent, hops=response.hops)
            return
        trigger = Trigger(
            id=message_id,
            content=f"Your peer {response.agent} has said:\n{response.content}",
            root_id=response.root_id,
            parent_id=response.task_id,
            hops=response.hops,
            traceparent=response.traceparent,
            sender=response.agent,
        )
        await self.intake.accept(trigger, "reaction")
