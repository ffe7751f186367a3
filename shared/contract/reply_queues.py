"""Where an answer may be sent: to reply queues only, and to no address that harms the sender."""

from __future__ import annotations

import re
from base64 import b64decode

from shared.contract.messages import REPLY_QUEUE
from shared.contract.topology import DIRECT_REPLY

_PRINTABLE = re.compile(r"[ -~]{1,255}")
"""What every broker and every store can keep."""

_CHANNEL = re.compile(
    rb"\x83X(?:[dv]\x00(?P<long>.)|w(?P<short>.))(?P<node>reply@\d{1,10}).{12}", re.DOTALL
)
"""A process of the broker in Erlang's external term format, with its node's name hashed, as
RabbitMQ 3.9 and later write it."""


def is_reply_queue(name: str) -> bool:
    """Whether a `reply_to` may name it.

    A client may write the address of a direct reply itself, and the broker hands it on as it is.
    What no broker can have made is refused; `Publisher` has more on such addresses.
    """
    if _PRINTABLE.fullmatch(name) is None:
        return False
    if name.startswith(DIRECT_REPLY):
        return _made_by_the_broker(name.removeprefix(DIRECT_REPLY))
    return REPLY_QUEUE.match(name) is not None


def _made_by_the_broker(address: str) -> bool:
    """It reads `.CHANNEL.KEY`, both in Base64."""
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
