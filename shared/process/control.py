"""What a process hears while it is busy, ahead of any backlog: that it, or a task, shall end."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from shared.broker.consumer import Consumer, Delivery
from shared.contract.access import OPERATOR, agent_user, objection
from shared.contract.messages import Cancel, Shutdown, decode
from shared.errors import BadMessage
from shared.process.stopping import Stopping

log = structlog.get_logger()

PREFETCH = 10
"""Control messages are few and cost nothing to obey."""


async def handle_commands(
    consumer: Consumer, stopping: Stopping, cancel: Callable[[str], None] | None = None
) -> None:
    """Turn each shutdown into a wish to end, and hand on each cancel's task id.

    Anything else is dropped with a log line; so are cancels where nothing can be cancelled, and
    orders of somebody who may not give them. None becomes a dead letter: replayed, it would be an
    operator's, and obeyed.
    """
    await consumer.start(PREFETCH)
    async for delivery in consumer:
        try:
            _handle(delivery, stopping, cancel)
        except BadMessage as error:
            log.warning("control message not understood", error=str(error))
        except Exception:
            log.exception("control message met a fault of ours")  # it must not end the process
        await delivery.ack()


def _handle(delivery: Delivery, stopping: Stopping, cancel: Callable[[str], None] | None) -> None:
    message = decode(delivery.body, delivery.content_type)
    expected_user = agent_user(message.sender or "") if isinstance(message, Cancel) else OPERATOR
    if reason := objection(delivery.received_as, delivery.user_id, expected_user):
        log.warning("command refused", type=message.type, reason=reason)
    elif isinstance(message, Shutdown):
        log.info("shutdown asked for", mode=message.mode)
        stopping.ask(message.mode)
    elif isinstance(message, Cancel) and cancel is not None:
        log.info("cancel asked for", task=message.task_id)
        cancel(message.task_id)
    else:
        log.warning("no control message", type=message.type)
