"""Who is believed: where each agent has a user of its own on the broker, nobody speaks for another.

The broker lets nobody publish under another's user; so what bears an agent's user is that agent's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from shared.broker.consumer import Delivery
from shared.contract.access import SCHEDULER, agent_user, objection
from shared.contract.messages import Task, Trigger
from shared.errors import BadMessage


def check(delivery: Delivery, *users: str) -> None:
    """Raises `BadMessage` where a message says that it is of one of these users, and is not."""
    for user in users:
        if reason := objection(delivery.received_as, delivery.user_id, user):
            raise BadMessage(reason)


def reply_objection(delivery: Delivery) -> str | None:
    """Why nothing is answered where a message wants it: the reply queue is another agent's.

    Otherwise anybody could have an agent answer, in its own name, what another asked. A command's
    queue is the operator's, who speaks for everybody. A queue that the broker or a client's library
    has named is for each client that knows its name, which nobody can guess.
    """
    kind, _, rest = (delivery.reply_to or "").partition(".")
    if kind != "reply":
        return None
    owner = agent_user(rest.partition(".")[0])
    reason = objection(delivery.received_as, delivery.user_id, owner)
    return reason and f"reply_to: {reason}"


def check_reply_to(delivery: Delivery) -> None:
    """Raises `BadMessage` for a reply queue that is another agent's."""
    if reason := reply_objection(delivery):
        raise BadMessage(reason)


def speakers(message: Task | Trigger, known: Collection[str]) -> Iterator[str]:
    """The users of those whom it says that it comes from; a foreign sender is nobody's business."""
    if message.path:
        yield agent_user(message.path[-1])
    if message.sender is not None and message.sender in known:
        yield agent_user(message.sender)
    if message.sender == SCHEDULER or (isinstance(message, Trigger) and message.schedule):
        yield SCHEDULER
