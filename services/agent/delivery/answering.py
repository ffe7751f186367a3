"""How an answer finds its reply queue."""

from dataclasses import replace

from shared.broker.publisher import Outgoing, Publisher
from shared.contract.topology import REPLIES
from shared.errors import Undeliverable


async def answer(publisher: Publisher, message: Outgoing) -> None:
    """Publish to a reply queue; raises as `Publisher.publish` does.

    A foreign client's `reply.…` queue need not be bound to our exchange: the default exchange
    reaches every queue by its name.
    """
    try:
        await publisher.publish(message)
    except Undeliverable:
        if message.exchange != REPLIES:
            raise
        await publisher.publish(replace(message, exchange=""))
