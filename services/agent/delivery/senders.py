"""Authenticated senders: where each agent has its own user on the broker, no agent can pretend to
be another.

The broker lets no client publish under another user's name. So a message with an agent's user comes
from that agent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from shared.broker.consumer import Delivery
from shared.contract.access import agent_user, objection
from shared.contract.messages import Task, Trigger
from shared.contract.topology import SCHEDULER
from shared.errors import BadMessage


def check_sender(delivery: Delivery, *users: str) -> None:
    """Raises `BadMessage` if a message, which names these users as its sender, comes from another
    one."""
    for user in users:
        if reason := objection(delivery.received_as, delivery.user_id, user):
            raise BadMessage(reason)


def check_reply_to(delivery: Delivery) -> None:
    """Raises `BadMessage` for a reply queue that belongs to another agent.

    Otherwise any client could make an agent send, in its own name, an answer to a question that
    another agent has asked. A command's queue belongs to the operator, who may speak for every
    agent. A queue named by the broker or by a client's library may be used by each client that
    knows its name, because that name can't be guessed.
    """
    kind, _, rest = (delivery.reply_to or "").partition(".")
    if kind == "reply":
        owner = agent_user(rest.partition(".")[0])
        if reason := objection(delivery.received_as, delivery.user_id, owner):
            raise BadMessage(f"reply_to: {reason}")


def named_users(message: Task | Trigger, known: Collection[str]) -> Iterator[str]:
    """The users that a message names as its senders; a foreign sender's name is left out."""
    if message.path:
        yield agent_user(message.path[-1])
    if message.sender is not None and message.sender in known:
        yield agent_user(message.sender)
    if message.sender == SCHEDULER or (isinstance(message, Trigger) and message.schedule):
        yield SCHEDULER
