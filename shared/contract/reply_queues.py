"""The queues that a response may be sent to: reply queues, and no address that harms the sender."""

from __future__ import annotations

import re
from base64 import b64decode

from shared.contract.topology import CLIENT_QUEUES, DIRECT_REPLY

REPLY_QUEUE = re.compile(rf"(reply\..*|amq\.rabbitmq\.reply-to.*|{'|'.join(CLIENT_QUEUES)})\Z")
"""The only queues that a `reply_to` may name: no client can make an agent publish elsewhere."""
REPLY_QUEUES = (
    "name it reply.… or a UUID, or use direct reply-to, or a queue that the broker, aio-pika, "
    "Spring or EasyNetQ has named"
)

_PRINTABLE = re.compile(r"[ -~]{1,255}")
"""A name that every broker and every store can keep."""

_CHANNEL = re.compile(
    rb"\x83X(?:[dv]\x00(?P<long>.)|w(?P<short>.))(?P<node>reply@\d{1,10}).{12}", re.DOTALL
)
"""A process of the broker in Erlang's external term format, with a hash for its node's name, as
RabbitMQ 3.9 and later write it."""


def is_reply_queue(name: str) -> bool:
    """Whether a `reply_to` may name this queue.

    A client can write the address of a direct reply itself, and the broker passes it on unchecked.
    So an address that no broker can have made is refused; see also `Publisher`.
    """
    if _PRINTABLE.fullmatch(name) is None:
        return False
    if name.startswith(DIRECT_REPLY):
        return _made_by_the_broker(name.removeprefix(DIRECT_REPLY))
    return REPLY_QUEUE.match(name) is not None


def _made_by_the_broker(address: str) -> bool:
    """Whether the address is `.CHANNEL.KEY`, both in Base64, with a valid channel."""
    nothing, *parts = address.split(".")
    if nothing or len(parts) != 2:
        return False
    try:
        channel, key = (b64decode(part, validate=True) for part in parts)
    except ValueError:  # no Base64
        return False
    found = _CHANNEL.fullmatch(channel)
    if not key or found is None:
        return False
    return len(found["node"]) == ord(found["long"] or found["short"])
