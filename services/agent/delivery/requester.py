"""The requester of a message, and the rule for the reply addresses that it may name."""

from __future__ import annotations

import re

from services.agent.delivery.senders import check_reply_to
from shared.broker.consumer import Delivery
from shared.broker.tolerant_decoding import Unreadable
from shared.contract.reply_queues import REPLY_QUEUES, is_reply_queue
from shared.errors import BadMessage
from shared.store.messages.requesters import Requester

_PRINTABLE = re.compile(r"[ -~]{0,255}")


def requester_of(delivery: Delivery) -> Requester | None:
    """The client that wants the response; None if the message asks for none.

    Raises `BadMessage` for a reply address that is refused, or for a `correlation_id` that can't
    be sent back unchanged.
    """
    reply_to, correlation_id = reply_to_of(delivery), delivery.correlation_id or ""
    if reply_to is None:
        return None
    if isinstance(correlation_id, Unreadable) or "\0" in correlation_id:
        raise BadMessage(
            "correlation_id: it is not UTF-8 or has a NUL in it, and could not be sent back as it "
            "came; send other text"
        )
    return Requester(reply_to, correlation_id)


def reply_to_of(delivery: Delivery) -> str | None:
    """The reply queue that a message names, if any.

    Raises `BadMessage` if it is no reply queue, or one that the sender may not name.
    """
    reply_to = delivery.reply_to
    if not reply_to:
        return None
    check_reply_to(delivery)
    if not _PRINTABLE.fullmatch(reply_to):
        raise BadMessage("reply_to: at most 255 printable ASCII characters name a reply queue")
    if not is_reply_queue(reply_to):
        raise BadMessage(f"reply_to: '{reply_to}' is no reply queue; {REPLY_QUEUES}")
    return reply_to
