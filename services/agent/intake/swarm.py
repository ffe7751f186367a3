"""The swarm: a peer's broadcast response becomes a note, a broadcast trigger wakes the agent."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from services.agent.delivery.senders import check_sender, named_users
from services.agent.delivery.settle import Settlement
from services.agent.instance import Instance
from services.agent.intake.claim import OWN_ID, Claims
from services.agent.intake.task_limit import causing_agent
from shared.broker.consumer import Consumer, Delivery
from shared.contract.access import agent_user
from shared.contract.messages import Response, Trigger, decode, run_id
from shared.contract.prompts import quoted
from shared.errors import BadMessage
from shared.store.messages import notes

log = structlog.get_logger()

PREFETCH = 10
"""Each broadcast is one small commit. The queue is bounded and drops its oldest messages."""

MOST_HOPS = 4
"""The longest chain of reactions: later broadcasts of the chain only become notes."""


@dataclass
class Swarm:
    instance: Instance
    claims: Claims
    settlement: Settlement

    async def serve(self, consumer: Consumer) -> None:
        await self.settlement.serve(consumer, PREFETCH, self._receive, self.instance.store)

    async def _receive(self, delivery: Delivery) -> None:
        message = decode(delivery.body, delivery.content_type)
        if isinstance(message, Trigger):
            check_sender(delivery, *named_users(message, self.instance.known))
            message = self.settlement.ids.with_id(message, delivery)
            agent = causing_agent(message, delivery, self.instance.known)
            await self.claims.accept(message, "trigger", cause=agent)
        elif not isinstance(message, Response):
            raise BadMessage(f"a swarm receives responses and triggers, not a {message.type}")
        elif message.agent != self.instance.agent:
            check_sender(delivery, agent_user(message.agent))
            await self._remember(message)

    async def _remember(self, response: Response) -> None:
        # The peer's name is part of the id, so that no other peer can use the id first.
        message_id = OWN_ID + run_id(response.agent, response.id or response.task_id)
        me = self.instance
        fresh = await me.store.write(
            "",
            lambda connection: notes.remember(
                connection, me.agent, message_id, response.agent, response.content
            ),
        )
        if fresh:
            log.info("note stored", peer=response.agent)
        me.announce("note.heard", peer=response.agent)
        # Also for a known note: the process that stored it may have died before it claimed the
        # reaction.
        if me.definition.on_peer == "react":
            await self._react(response, message_id)

    async def _react(self, response: Response, message_id: str) -> None:
        if response.hops >= MOST_HOPS:
            log.warning("hop limit reached", peer=response.agent, hops=response.hops)
            self.instance.announce("hops.limit", peer=response.agent, hops=response.hops)
            return
        trigger = Trigger(
            id=message_id,
            content=f"Your peer {response.agent} has said:\n"
            + quoted(response.agent, response.content),
            root_id=response.root_id,
            parent_id=response.task_id,
            hops=response.hops,
            traceparent=response.traceparent,
            sender=response.agent,
        )
        await self.claims.accept(trigger, "reaction")
