"""What a process hears while it is busy, ahead of any backlog: the wish that it ends."""

from __future__ import annotations

import structlog

from shared.broker.consuming import Consumer
from shared.errors import BadMessage
from shared.messages import Shutdown, decode
from shared.process import Stopping

log = structlog.get_logger()

PREFETCH = 10
"""Control messages are few and cost nothing to obey."""


async def obey(consumer: Consumer, stopping: Stopping) -> None:
    """Turn each shutdown into a wish to end; drop, with a log line, what isn't one."""
    await consumer.start(PREFETCH)
    async for delivery in consumer:
        try:
            message = decode(delivery.body, delivery.content_type)
        except BadMessage as error:
            log.warning("control message not understood", error=str(error))
        else:
            if isinstance(message, Shutdown):
                log.info("shutdown asked for", mode=message.mode)
                stopping.ask(message.mode)
            else:
                log.warning("no control message", type=message.type)
        await delivery.ack()
